"""What people see of flow runs in Airflow's UI: a page of all of them, and their live logs.

It promises that who may not read a DAG in Airflow sees nothing of its flow runs. It may know
Airflow's API server, database and XComs, and all rooms below; it may not know Kubernetes itself.
"""
