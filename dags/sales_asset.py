"""A flow that brings an asset up to date, and a DAG that runs when it has, with its result."""

from __future__ import annotations

import os
from typing import Any

from airflow.sdk import DAG, Asset

from flowjob.operators.flow_job import FlowJobOperator

COMMON: dict[str, Any] = {
    "job_spec_file": "dummy_job_spec.yaml",
    "image": os.environ.get("FLOW_IMAGE", "python:3.13-slim"),
}
SALES = Asset("sales", uri="s3://warehouse/sales")

with DAG(
    "sales_asset",
    schedule=None,
    default_args={"owner": "sales"},
    owner_links={"sales": "mailto:sales@example.com"},
    tags=["flowjob", "assets"],
    doc_md=__doc__,
):
    # The asset's event has the flow run's id and the flow's result in its extra.
    FlowJobOperator(
        task_id="sales",
        flow=["sh", "-c", """echo '{"rows": 3, "file": "sales.csv"}' > $FLOW_RESULT_PATH"""],
        outlets=[SALES],
        **COMMON,
    )

with DAG(
    "sales_report",
    schedule=[SALES],
    default_args={"owner": "sales"},
    owner_links={"sales": "mailto:sales@example.com"},
    tags=["flowjob", "assets"],
    doc_md=__doc__,
):
    FlowJobOperator(
        task_id="report",
        flow=["sh", "-c", "echo There are $ROWS rows in $FILE"],
        env={
            "ROWS": "{{ (triggering_asset_events.values() | first | last).extra.result.rows }}",
            "FILE": "{{ (triggering_asset_events.values() | first | last).extra.result.file }}",
        },
        **COMMON,
    )
