"""The flows of the example DAGs, as an image of flows has them; they know nothing of Airflow."""
