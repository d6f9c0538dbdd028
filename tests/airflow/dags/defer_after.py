"""Deferrable tasks that wait in the worker first, for longer or shorter than their flow takes."""

from __future__ import annotations

import copy
import os
from typing import Any

from airflow.sdk import DAG

from flowjob.operators.flow_job import FlowJobOperator

SPEC: dict[str, Any] = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {"name": "defer-after"},
    "spec": {
        "backoffLimit": 0,
        "template": {"spec": {"containers": [{"name": "flow-container"}]}},
    },
}
TAKEN = copy.deepcopy(SPEC)
TAKEN["spec"]["ttlSecondsAfterFinished"] = 0
LINES = 'i=0; while [ $i -lt 100 ]; do echo "line $i"; i=$((i+1)); %s; done'
AT_ONCE, SLOWLY = LINES % ":", LINES % "sleep 0.1"
# Seconds: longer than any flow here takes, and shorter.
LONG, SHORT = 600, 2
COMMON: dict[str, Any] = {"image": os.environ.get("FLOW_IMAGE"), "deferrable": True}

with DAG("defer_after", schedule=None, default_args=COMMON):
    FlowJobOperator(
        task_id="short",
        job_spec=SPEC,
        flow=["sh", "-c", f"{AT_ONCE}; echo 7 > $FLOW_RESULT_PATH"],
        defer_after=LONG,
    )
    FlowJobOperator(task_id="taken", job_spec=TAKEN, flow=["sh", "-c", AT_ONCE], defer_after=LONG)
    FlowJobOperator(
        task_id="fails", job_spec=SPEC, flow=["sh", "-c", f"{AT_ONCE}; exit 3"], defer_after=LONG
    )
    FlowJobOperator(
        task_id="does_not_start",
        job_spec=SPEC,
        image="No Image",
        flow=["true"],
        defer_after=LONG,
    )
    FlowJobOperator(task_id="long", job_spec=SPEC, flow=["sh", "-c", SLOWLY], defer_after=SHORT)
    FlowJobOperator.partial(
        task_id="mapped",
        job_spec_file="specs/plain.yaml",
        flow=["sh", "-c", "echo $FLOW_PARAMETERS > $FLOW_RESULT_PATH"],
        defer_after=LONG,
    ).expand(parameters=[{"number": 1}, {"number": 2}])
