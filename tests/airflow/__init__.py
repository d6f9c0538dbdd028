"""Flow runs through a real Airflow and a real Kubernetes cluster."""
