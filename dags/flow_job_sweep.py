"""Deletes, each hour, the Jobs whose tasks have ended without Airflow telling anybody."""

from __future__ import annotations

import os

from airflow.sdk import DAG

from flowjob.operators.sweep import FlowJobSweepOperator

with DAG(
    "flow_job_sweep",
    schedule="@hourly",
    catchup=False,
    max_active_runs=1,
    default_args={"owner": "platform"},
    owner_links={"platform": "mailto:platform@example.com"},
    tags=["flowjob", "operations"],
    doc_md=__doc__,
):
    FlowJobSweepOperator(task_id="sweep", namespace=os.environ.get("FLOW_NAMESPACE", "default"))
