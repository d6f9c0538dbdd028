"""Runs the unit and Airflow tests on each Python with each Airflow that the package supports."""
