"""The rooms of the package on a real Kubernetes cluster, without Airflow's processes."""
