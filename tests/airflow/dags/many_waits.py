"""Flow runs that only wait: their Jobs are suspended and have no pods."""

from __future__ import annotations

import os

from airflow.sdk import DAG

from flowjob.operators.flow_job import FlowJobOperator

for count in (50, 200):
    with DAG(
        f"waits_{count}",
        schedule=None,
        max_active_tasks=300,
        params={"connection": "kubernetes_default"},
    ):
        FlowJobOperator.partial(
            task_id="flow",
            job_spec_file="specs/suspended.yaml",
            name=f"waits-{count}",
            image=os.environ.get("FLOW_IMAGE"),
            flow=["true"],
            kubernetes_conn_id="{{ params.connection }}",
            deferrable=True,
        ).expand(parameters=[{"number": number} for number in range(count)])
