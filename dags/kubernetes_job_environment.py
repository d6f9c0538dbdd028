"""The example of Prefect's KubernetesJobEnvironment with resource requests and limits.

Its Job spec is as it was; its flow is a Python callable in the image.
"""

from __future__ import annotations

import os

from airflow.sdk import DAG

from flowjob.operators.flow_job import FlowJobOperator

with DAG(
    "kubernetes_job_environment",
    schedule=None,
    default_args={"owner": "platform"},
    owner_links={"platform": "mailto:platform@example.com"},
    tags=["flowjob", "prefect"],
    doc_md=__doc__,
):
    FlowJobOperator(
        task_id="flow",
        job_spec_file="job_spec.yaml",
        image=os.environ.get("FLOW_IMAGE", "gcr.io/dev/k8s-job-flow:0.1.0"),
        flow="flows.example:run",
    )
