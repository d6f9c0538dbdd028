"""The example of Prefect's KubernetesJobEnvironment, its flow as it was, without a Prefect server.

The image has the Prefect that the flow was written for.
"""

from __future__ import annotations

import os

from airflow.sdk import DAG

from flowjob.flows import PrefectFlow
from flowjob.operators.flow_job import FlowJobOperator

with DAG(
    "prefect_flow",
    schedule=None,
    default_args={"owner": "platform"},
    owner_links={"platform": "mailto:platform@example.com"},
    tags=["flowjob", "prefect"],
    doc_md=__doc__,
):
    FlowJobOperator(
        task_id="flow",
        job_spec_file="job_spec.yaml",
        image=os.environ.get("PREFECT_FLOW_IMAGE", "gcr.io/dev/k8s-job-flow:0.1.0"),
        flow=PrefectFlow("flows.prefect_example:flow"),
    )
