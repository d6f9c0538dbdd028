"""The flow writes its table to a storage and returns the place; the next flow reads it there."""

from airflow.sdk import DAG

from flowjob.operators.flow_job import FlowJobOperator

with DAG("big_results", schedule="@daily"):
    extract = FlowJobOperator(
        task_id="extract",
        job_spec_file="job_spec.yaml",
        flow="flows.sales:extract",
        parameters={"to": "s3://warehouse/sales/{{ ds }}.parquet"},
    )
    FlowJobOperator(
        task_id="load",
        job_spec_file="job_spec.yaml",
        flow="flows.sales:load",
        parameters={"source": extract.output},
    )
