"""A DAG for each kind of flow run and mode: flows that leave lines for as long as they run."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG

from flowjob.operators.flow_job import FlowJobOperator
from tests.soak.kinds import KINDS, SKIP_CODE, TASK_ID, Kind

# The lines of two flow runs of one task instance that run at once lie between one another.
SCRIPT = f"""
name="$AIRFLOW_CTX_DAG_ID.$AIRFLOW_CTX_DAG_RUN_ID"
say() {{ echo "$name $FLOW_RUN_ID ${{JOB_COMPLETION_INDEX:-0}} $*" >> /effects/lines; }}
say begins
tick=0
while [ $tick -lt $TICKS ]; do sleep 0.5; say runs; tick=$((tick + 1)); done
code=0
case $ENDING in
  fails) code=1 ;;
  fails_once) [ -e "/effects/$name" ] || {{ : > "/effects/$name"; code=1; }} ;;
  skips) code={SKIP_CODE} ;;
  bad_result) echo no JSON > $FLOW_RESULT_PATH ;;
esac
say ends $code
exit $code
"""
SIDECAR = {
    "name": "sidecar",
    "image": os.environ.get("FLOW_IMAGE"),
    "command": ["sh", "-c", "trap 'exit 0' TERM; sleep 100000 & wait"],
}


def job_spec(kind: Kind) -> dict[str, Any]:
    """Return the Job spec of a kind."""
    mount = {"name": "effects", "mountPath": "/effects"}
    effects = {"name": "effects", "hostPath": {"path": os.environ.get("FLOW_EFFECTS", "/x")}}
    pod: dict[str, Any] = {
        "terminationGracePeriodSeconds": 1,
        "containers": [{"name": "flow-container", "volumeMounts": [mount]}],
        "volumes": [effects],
    }
    if kind.sidecar == "native":
        pod["initContainers"] = [SIDECAR | {"restartPolicy": "Always"}]
    if kind.sidecar == "plain":
        pod["containers"].append(SIDECAR)
    spec: dict[str, Any] = {"backoffLimit": 0, "template": {"spec": pod}}
    if kind.pods > 1:
        spec |= {"completionMode": "Indexed", "completions": kind.pods, "parallelism": kind.pods}
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": kind.name.replace("_", "-")},
        "spec": spec,
    }


for kind in KINDS:
    for deferrable in (False, True):
        with DAG(kind.dag_id(deferrable=deferrable), schedule=None, params={"ticks": 10}):
            FlowJobOperator(
                task_id=TASK_ID,
                job_spec=job_spec(kind),
                image=os.environ.get("FLOW_IMAGE"),
                flow=["sh", "-c", SCRIPT],
                env={"ENDING": kind.ending, "TICKS": "{{ params.ticks }}"},
                deferrable=deferrable,
                wait_for="flow" if kind.sidecar == "plain" else "job",
                on_finish=kind.on_finish,
                skip_on_exit_code=SKIP_CODE,
                retries=kind.retries,
                retry_delay=timedelta(seconds=2),
            )
