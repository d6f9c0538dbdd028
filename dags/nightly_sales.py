"""A scheduled flow that knows its data interval, so that a backfill runs each day's own slice."""

from __future__ import annotations

import os
from datetime import UTC, datetime

from airflow.sdk import DAG

from flowjob.operators.flow_job import FlowJobOperator

with DAG(
    "nightly_sales",
    schedule="@daily",
    start_date=datetime(2026, 1, 1, tzinfo=UTC),
    catchup=False,
    default_args={"owner": "sales"},
    owner_links={"sales": "mailto:sales@example.com"},
    tags=["flowjob", "backfill"],
    doc_md=__doc__,
):
    FlowJobOperator(
        task_id="sales",
        job_spec_file="dummy_job_spec.yaml",
        name="nightly-sales",
        image=os.environ.get("FLOW_IMAGE", "gcr.io/dev/sales-flows:0.1.0"),
        flow="flows.sales:run",
        parameters={"region": "eu", "day": "{{ ds }}"},
        env={"LOG_LEVEL": "INFO"},
    )
