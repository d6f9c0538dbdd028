"""A sweep by whichever connection a run names."""

from __future__ import annotations

import os

from airflow.sdk import DAG

from flowjob.operators.sweep import FlowJobSweepOperator

with DAG("sweep_by", schedule=None, params={"connection": "kubernetes_default"}):
    FlowJobSweepOperator(
        task_id="sweep",
        namespace=os.environ.get("FLOW_NAMESPACE", "default"),
        kubernetes_conn_id="{{ params.connection }}",
    )
