"""A flow's result becomes other tasks' input."""

from airflow.sdk import DAG, task

from flowjob.operators.flow_job import FlowJobOperator


@task
def report(rows: int) -> None:
    print(f"{rows} rows")


with DAG("results", schedule=None):
    count = FlowJobOperator(
        task_id="count",
        job_spec_file="job_spec.yaml",
        flow=["sh", "-c", "echo '{\"rows\": 3}' > $FLOW_RESULT_PATH"],
        multiple_outputs=True,
    )
    report(count.output["rows"])
