"""A DAG that cannot be imported: its Job spec is no Job spec."""

from __future__ import annotations

from airflow.sdk import DAG

from flowjob.operators.flow_job import FlowJobOperator

with DAG("import_error", schedule=None):
    FlowJobOperator(task_id="flow", job_spec_file="specs/wrong_type.yaml", flow=["true"])
