"""What the user wrote: a job spec is loaded, checked and overridden.

It promises that a file means here what it means to the API server, and that errors name file, line
and field. Pure: it may know neither Airflow nor a cluster.
"""
