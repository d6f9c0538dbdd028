"""Flow runs that a Prefect knows, too, in both modes; the node lends its Prefects to the pods."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any

from airflow.sdk import DAG

from flowjob.flows import PrefectCloudFlow, PrefectDeployment
from flowjob.operators.flow_job import FlowJobOperator

FLOWS = os.environ.get("PREFECT_FLOWS", "/nowhere")
IMAGE = os.environ.get("FLOW_IMAGE")
CONF = "{{ dag_run.conf['%s'] }}"


def job_spec(packages: str) -> dict[str, Any]:
    """Return a Job whose pod has a Prefect of the node's, and the flows where they are there."""
    variables = {"PYTHONPATH": "/opt/prefect", "HOME": "/tmp", "DO_NOT_TRACK": "1"}
    container = {
        "name": "flow-container",
        "env": [{"name": name, "value": value} for name, value in variables.items()],
        "volumeMounts": [
            {"name": "prefect", "mountPath": "/opt/prefect", "readOnly": True},
            {"name": "flows", "mountPath": FLOWS, "readOnly": True},
        ],
    }
    pod = {
        # The APIs listen on the node itself.
        "hostNetwork": True,
        "terminationGracePeriodSeconds": 5,
        "containers": [container],
        "volumes": [
            {"name": "prefect", "hostPath": {"path": os.environ.get(packages, "/nowhere")}},
            {"name": "flows", "hostPath": {"path": FLOWS}},
        ],
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "prefect"},
        "spec": {"backoffLimit": 0, "template": {"spec": pod}},
    }


REFUSED = job_spec("PREFECT_3")
REFUSED["spec"]["misspelt"] = True
with DAG("prefect_refused", schedule=None):
    FlowJobOperator(
        task_id="flow",
        job_spec=REFUSED,
        image=IMAGE,
        flow=PrefectDeployment(CONF % "deployment", tags=["{{ run_id }}"]),
    )

for mode in ("worker", "deferred"):
    deferrable = mode == "deferred"
    for name, retries in (("deployment", 0), ("retried", 1)):
        with DAG(f"prefect_{name}_{mode}", schedule=None):
            FlowJobOperator(
                task_id="flow",
                job_spec=job_spec("PREFECT_3"),
                image=IMAGE,
                flow=PrefectDeployment(CONF % "deployment", tags=["{{ run_id }}"]),
                parameters={"how": CONF % "how"},
                deferrable=deferrable,
                retries=retries,
                retry_delay=timedelta(0),
            )
    with DAG(f"prefect_registered_{mode}", schedule=None):
        FlowJobOperator(
            task_id="flow",
            job_spec=job_spec("PREFECT_0"),
            image=IMAGE,
            flow=PrefectCloudFlow(
                conn_id="prefect_server", project_name="nightly", flow_name="sales"
            ),
            parameters={"region": CONF % "region"},
            deferrable=deferrable,
        )
