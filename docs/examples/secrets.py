"""A password from a Secret of the cluster, and a URL from a Variable of Airflow's."""

from airflow.sdk import DAG

from flowjob.operators.flow_job import FlowJobOperator

with DAG("secrets", schedule=None):
    FlowJobOperator(
        task_id="load",
        job_spec_file="job_spec.yaml",
        flow="flows.sales:load",
        env={
            "DB_PASSWORD": {"secretKeyRef": {"name": "warehouse", "key": "password"}},
            "WAREHOUSE": "{{ var.value.warehouse_url }}",
        },
    )
