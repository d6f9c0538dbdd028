"""Flow runs to look at: one that fails with what is no markup, and one whose lines come slowly."""

from __future__ import annotations

import os
from typing import Any

from airflow.sdk import DAG

from flowjob.operators.flow_job import FlowJobOperator

# Ends when it is told to, and prints on meanwhile.
LIVE = """
echo line 1
echo password $SECRET
number=2
while ! [ -e "/effects/$AIRFLOW_CTX_DAG_ID.$AIRFLOW_CTX_DAG_RUN_ID.end" ]; do
  echo line $number
  number=$((number + 1))
  sleep 0.2
done
echo the end
"""
FAILS = """
seq 200
echo "the sales are <b>gone</b> by 100%" > $FLOW_RESULT_PATH
exit 3
"""
SPEC: dict[str, Any] = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {"name": "flow-runs-page"},
    "spec": {
        "backoffLimit": 0,
        "template": {
            "spec": {
                "containers": [
                    {
                        "name": "flow",
                        "volumeMounts": [{"name": "effects", "mountPath": "/effects"}],
                    }
                ],
                "volumes": [
                    {"name": "effects", "hostPath": {"path": os.environ.get("FLOW_EFFECTS", "/x")}}
                ],
            }
        },
    },
}
COMMON: dict[str, Any] = {"job_spec": SPEC, "image": os.environ.get("FLOW_IMAGE")}

with DAG("live_lines", schedule=None, params={"secret": "none of it"}):
    FlowJobOperator(
        task_id="flow",
        deferrable=True,
        flow=["sh", "-c", LIVE],
        env={"SECRET": "{{ params.secret }}"},
        **COMMON,
    )

with DAG("failures_of_the_page", schedule=None):
    FlowJobOperator(task_id="flow", flow=["sh", "-c", FAILS], **COMMON)
