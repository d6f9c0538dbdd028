"""What the tests share: a cluster, an Airflow, and what can be done to them."""
