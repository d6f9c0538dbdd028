"""The reference's contract: no flow is given."""

from __future__ import annotations

import os

from airflow.sdk import DAG

from flowjob.operators.flow_job import FlowJobOperator

with DAG("prefect_cloud", schedule=None):
    FlowJobOperator(
        task_id="flow",
        job_spec_file="specs/own_command.yaml",
        image=os.environ.get("FLOW_IMAGE"),
    )
