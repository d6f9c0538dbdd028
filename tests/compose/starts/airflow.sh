#!/bin/sh
# As the image of Airflow's: its command is one of Airflow's, or a program.
case "$1" in
    api-server | dag-processor | db | scheduler | triggerer) exec airflow "$@" ;;
    *) exec "$@" ;;
esac
