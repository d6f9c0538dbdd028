"""Waiting for the end of a flow run: one implementation for worker and triggerer.

It promises one watch for however many wait, and that what vanished is told from what succeeded. It
may know the cluster and the logs, but not who waits, nor Airflow.
"""
