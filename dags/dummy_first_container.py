"""A Job spec whose first container is a dummy: the operator says all that it runs."""

from __future__ import annotations

import os

from airflow.sdk import DAG

from flowjob.operators.flow_job import FlowJobOperator

with DAG(
    "dummy_first_container",
    schedule=None,
    default_args={"owner": "platform"},
    owner_links={"platform": "mailto:platform@example.com"},
    tags=["flowjob", "job spec"],
    doc_md=__doc__,
):
    FlowJobOperator(
        task_id="flow",
        job_spec_file="dummy_job_spec.yaml",
        image=os.environ.get("FLOW_IMAGE", "python:3.13-slim"),
        flow=["python3", "-c", "import os; print('MY_ENV is', os.environ['MY_ENV'])"],
        env={"RUN_ID": "{{ run_id }}"},
    )
