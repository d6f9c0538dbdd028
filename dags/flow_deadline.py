"""A flow that is not done in time: a function of this file is called, and the flow goes on.

Deadlines that call a function of the DAG file are in Airflow 3.2 and later.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, DeadlineAlert, DeadlineReference, SyncCallback

from flowjob.operators.flow_job import FlowJobOperator


def tell(context: dict[str, Any]) -> None:
    print("Not done in time:", context["dag_run"]["dag_run_id"])


with DAG(
    "flow_deadline",
    schedule=None,
    deadline=DeadlineAlert(
        reference=DeadlineReference.DAGRUN_QUEUED_AT,
        interval=timedelta(seconds=3),
        callback=SyncCallback(tell),
    ),
    default_args={"owner": "platform"},
    owner_links={"platform": "mailto:platform@example.com"},
    tags=["flowjob", "deadline"],
    doc_md=__doc__,
):
    FlowJobOperator(
        task_id="flow",
        job_spec_file="dummy_job_spec.yaml",
        image=os.environ.get("FLOW_IMAGE", "python:3.13-slim"),
        flow=["sleep", "10"],
    )
