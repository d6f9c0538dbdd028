"""Flow runs that end with their flow, as their plain sidecar never ends; in both modes."""

from __future__ import annotations

import os

from airflow.sdk import DAG

from flowjob.operators.flow_job import FlowJobOperator

SCRIPT = (
    "while [ ! -e /shared/up ]; do sleep 0.1; done; echo 'WARNING few rows'; "
    """echo '{"level": "error", "msg": "no rows"}' >&2; echo to stderr >&2; echo flow ends; """
)

with DAG("proxies", schedule=None):
    for mode in ("worker", "deferred"):
        for end, code in (("succeeds", 0), ("fails", 3)):
            FlowJobOperator(
                task_id=f"{end}_{mode}",
                job_spec_file="specs/proxy.yaml",
                image=os.environ.get("FLOW_IMAGE"),
                flow=["sh", "-c", f"{SCRIPT} echo '[1]' > $FLOW_RESULT_PATH; exit {code}"],
                wait_for="flow",
                log_containers="all",
                deferrable=mode == "deferred",
            )
