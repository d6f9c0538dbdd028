"""The same flows by each of those that are measured, a DAG each; all as they are by default.

A Job of `KubernetesJobOperator` has to be told to be waited for.
"""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import Any

from airflow.providers.cncf.kubernetes.decorators.kubernetes import kubernetes_task
from airflow.providers.cncf.kubernetes.operators.job import KubernetesJobOperator
from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.sdk import DAG, BaseOperator

from flowjob.decorators.flow_job import flow_job_task
from flowjob.operators.flow_job import FlowJobOperator
from tests.bench.contenders import (
    JOB,
    LINE,
    LINES,
    LONG_SECONDS,
    NOTHING,
    NOTHING_DAYS,
    OUR_FUNCTION,
    OURS,
    POD,
    POD_FUNCTION,
    SCENES,
    Scene,
)

IMAGE = os.environ["BENCH_IMAGE"]
SPEC = "job_spec.yaml"
COMMANDS = {
    "no_op": ["true"],
    "days": ["true"],
    "minute": ["sleep", str(LONG_SECONDS)],
    "loud": ["sh", "-c", f"yes {LINE} | head -n {LINES}"],
    "failing": ["sh", "-c", "echo broken; exit 3"],
}
SCHEDULED: dict[str, Any] = {
    "schedule": "@daily",
    "start_date": datetime(2025, 1, 1),
    # Long ago: nothing runs but the backfill.
    "end_date": datetime(2025, 12, 31),
    "catchup": False,
}
TRIGGERED: dict[str, Any] = {"schedule": None}


def nothing() -> None:
    pass


class Nothing(BaseOperator):
    """Does nothing: what Airflow takes by itself."""

    def execute(self, context: Any) -> None:
        pass


def make(scene: Scene) -> None:
    """Add the scene's task to the DAG."""
    place: dict[str, Any] = {"task_id": "flow", "kubernetes_conn_id": scene.dag_id}
    waits: dict[str, Any] = {"deferrable": scene.deferrable}
    command = COMMANDS[scene.flow]
    if scene.contender == OURS:
        FlowJobOperator(job_spec_file=SPEC, image=IMAGE, flow=command, **place, **waits)
    elif scene.contender == JOB:
        KubernetesJobOperator(
            job_template_file=str(Path(__file__).parent / SPEC),
            image=IMAGE,
            cmds=command,
            backoff_limit=0,
            wait_until_job_complete=True,
            **place,
            **waits,
        )
    elif scene.contender == POD:
        KubernetesPodOperator(name="bench", image=IMAGE, cmds=command, **place, **waits)
    elif scene.contender == OUR_FUNCTION:
        flow_job_task(nothing, job_spec_file=SPEC, image=IMAGE, **place)()
    elif scene.contender == POD_FUNCTION:
        kubernetes_task(nothing, image=IMAGE, **place)()


for scene in SCENES:
    with DAG(scene.dag_id, **(SCHEDULED if scene.flow == "days" else TRIGGERED)):
        make(scene)
with DAG(NOTHING, schedule=None):
    Nothing(task_id="flow")
with DAG(NOTHING_DAYS, **SCHEDULED):
    Nothing(task_id="flow")
