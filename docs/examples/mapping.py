"""One flow run for each region that a first flow finds."""

from airflow.sdk import DAG

from flowjob.operators.flow_job import FlowJobOperator

with DAG("mapping", schedule=None):
    regions = FlowJobOperator(
        task_id="regions",
        job_spec_file="job_spec.yaml",
        flow=["sh", "-c", 'echo \'["eu", "us"]\' > $FLOW_RESULT_PATH'],
    )
    FlowJobOperator.partial(
        task_id="sales",
        job_spec_file="job_spec.yaml",
        flow="flows.sales:run",
        max_active_tis_per_dag=10,
    ).expand(parameters=regions.output.map(lambda region: {"region": region}))
