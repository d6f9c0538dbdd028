"""Flows on two clusters, by connections that are mapped over and by one from a template.

Each says that it ran, writes lines until it is told to end, and more lines then.
"""

from __future__ import annotations

import os
from typing import Any

from airflow.sdk import DAG

from flowjob.operators.flow_job import FlowJobOperator

SCRIPT = """
name="$AIRFLOW_CTX_DAG_ID.$AIRFLOW_CTX_DAG_RUN_ID.$AIRFLOW_CTX_TASK_ID.${AIRFLOW_CTX_MAP_INDEX:--1}"
echo "$name $FLOW_RUN_ID" >> /effects/lines
i=0; while [ $i -lt 100 ]; do echo "line $i"; i=$((i+1)); done
while ! [ -e "/effects/$name.end" ]; do sleep 0.1; done
while [ $i -lt 200 ]; do echo "line $i"; i=$((i+1)); done
"""
COMMON: dict[str, Any] = {
    "job_spec_file": "job_spec.yaml",
    "template_job_spec": True,
    "image": os.environ.get("FLOW_IMAGE"),
    "flow": ["sh", "-c", SCRIPT],
}

for suffix, deferrable in (("", False), ("_deferrable", True)):
    with DAG(f"two_clusters{suffix}", schedule=None, default_args={"deferrable": deferrable}):
        FlowJobOperator.partial(task_id="flow", **COMMON).expand(
            kubernetes_conn_id=["here", "there"] * 3
        )

    with DAG(
        f"one_of_two_clusters{suffix}",
        schedule=None,
        params={"connection": "here"},
        default_args={"deferrable": deferrable},
    ):
        FlowJobOperator(task_id="flow", kubernetes_conn_id="{{ params.connection }}", **COMMON)
