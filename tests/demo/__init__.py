"""The demo: an Airflow and a Kubernetes cluster of this checkout's, and a run of an example DAG."""
