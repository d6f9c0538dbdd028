"""A flow with a sidecar, a node selector and a volume, all as the Job spec says."""

from __future__ import annotations

import os

from airflow.sdk import DAG

from flowjob.operators.flow_job import FlowJobOperator

with DAG(
    "sidecar",
    schedule=None,
    default_args={"owner": "platform"},
    owner_links={"platform": "mailto:platform@example.com"},
    tags=["flowjob", "job spec"],
    doc_md=__doc__,
):
    FlowJobOperator(
        task_id="report",
        job_spec_file="sidecar_job_spec.yaml",
        image=os.environ.get("FLOW_IMAGE", "python:3.13-slim"),
        flow=["python3", "-c", "print('The sidecar wrote', open('/shared/now').read())"],
    )
