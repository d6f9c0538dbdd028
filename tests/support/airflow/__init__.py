"""A real Airflow for the tests and the demo: its processes, its database, its REST API."""
