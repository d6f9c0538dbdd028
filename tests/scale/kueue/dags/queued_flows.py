"""Flows in the queues of Kueue's, and one of the provider's own operator beside them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml
from airflow.providers.cncf.kubernetes.operators.kueue import KubernetesStartKueueJobOperator
from airflow.sdk import DAG
from kubernetes.client import models as k8s

from flowjob.operators.flow_job import FlowJobOperator

EXAMPLE = Path(__file__).parents[4] / "docs" / "examples" / "queued_job_spec.yaml"
IMAGE = os.environ.get("FLOW_IMAGE")
GRACE = 5
NAME = "{{ run_id | replace(':', '-') }}"

# Says which of its pods it is, and ends in the second one.
TWICE = (
    'mkdir -p "/state/$NAME"; if [ -e "/state/$NAME/seen" ]; then echo the second pod; else '
    'touch "/state/$NAME/seen"; echo the first pod; sleep 600; fi'
)
PATH = {"path": os.environ.get("FLOW_EFFECTS"), "type": "Directory"}
STATE = {"name": "state", "hostPath": PATH}
MOUNT = {"name": "state", "mountPath": "/state"}


def spec_of(queue: str = "nightly") -> dict[str, Any]:
    spec: dict[str, Any] = yaml.safe_load(EXAMPLE.read_text())
    spec["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] = queue
    pod = spec["spec"]["template"]["spec"]
    # A shell ends when it is killed only; the last lines are read until then.
    pod["terminationGracePeriodSeconds"] = GRACE
    pod["volumes"] = [STATE]
    pod["containers"][0]["volumeMounts"] = [MOUNT]
    return spec


for mode in ("worker", "deferred"):
    common: dict[str, Any] = {"image": IMAGE, "deferrable": mode == "deferred", "defer_after": 0}
    with DAG(f"queued_{mode}", schedule=None):
        FlowJobOperator(
            task_id="flow",
            job_spec=spec_of(),
            flow=["sh", "-c", TWICE],
            env={"NAME": NAME},
            **common,
        )
    with DAG(f"never_admitted_{mode}", schedule=None):
        FlowJobOperator(
            task_id="flow",
            job_spec=spec_of(queue="absent"),
            flow=["true"],
            startup_timeout=10,
            **common,
        )
    with DAG(f"peer_{mode}", schedule=None):
        # The same Job, as far as its arguments can tell it.
        KubernetesStartKueueJobOperator(
            task_id="flow",
            queue_name="nightly",
            name="peer",
            namespace=os.environ.get("FLOW_NAMESPACE"),
            image=IMAGE,
            cmds=["sh", "-c", TWICE],
            env_vars={"NAME": NAME},
            labels={"kueue.x-k8s.io/priority-class": "routine"},
            container_resources=k8s.V1ResourceRequirements(requests={"cpu": "1", "memory": "1Gi"}),
            volumes=[k8s.V1Volume(name="state", host_path=PATH)],
            volume_mounts=[k8s.V1VolumeMount(name="state", mount_path="/state")],
            termination_grace_period=GRACE,
            backoff_limit=0,
            wait_until_job_complete=True,
            deferrable=mode == "deferred",
        )
