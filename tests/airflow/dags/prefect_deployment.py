"""Flow runs of a Prefect 3 deployment, in both modes; the node lends its Prefect to the pod."""

from __future__ import annotations

import os

from airflow.sdk import DAG

from flowjob.flows import PrefectDeployment
from flowjob.operators.flow_job import FlowJobOperator

PACKAGES = os.environ.get("PREFECT_PACKAGES", "/nowhere")
FLOWS = os.environ.get("PREFECT_FLOWS", "/nowhere")
SPEC = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {"name": "deployment"},
    "spec": {
        "backoffLimit": 0,
        "template": {
            "spec": {
                # Prefect's server listens on the node itself.
                "hostNetwork": True,
                "terminationGracePeriodSeconds": 5,
                "containers": [
                    {
                        "name": "flow-container",
                        "env": [
                            {"name": "PYTHONPATH", "value": "/opt/prefect"},
                            {"name": "HOME", "value": "/tmp"},
                            {"name": "DO_NOT_TRACK", "value": "1"},
                        ],
                        "volumeMounts": [
                            {"name": "prefect", "mountPath": "/opt/prefect", "readOnly": True},
                            {"name": "flows", "mountPath": FLOWS, "readOnly": True},
                        ],
                    }
                ],
                "volumes": [
                    {"name": "prefect", "hostPath": {"path": PACKAGES}},
                    {"name": "flows", "hostPath": {"path": FLOWS}},
                ],
            }
        },
    },
}

with DAG("prefect_deployment", schedule=None):
    for mode in ("worker", "deferred"):
        FlowJobOperator(
            task_id=mode,
            job_spec=SPEC,
            image=os.environ.get("FLOW_IMAGE"),
            flow=PrefectDeployment("{{ dag_run.conf['deployment'] }}", tags=["{{ run_id }}"]),
            parameters={"how": "{{ dag_run.conf['how'] }}"},
            deferrable=mode == "deferred",
        )
