"""The operators, by the names that DAG files import: arguments, their checks and templates.

They promise that a wrong argument is an import error, and that importing them loads no Kubernetes
client. They know how Airflow calls a task, not how a flow run is launched or waited for.
"""
