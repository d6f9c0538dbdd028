"""The same flow on **several clusters**: a task for each Airflow connection, named when it runs.

The trigger form asks for the connections, of type `kubernetes`. A cluster that is away keeps its
own flow waiting, and no other. The last flow gets the results of all, on the first of them.
"""

from __future__ import annotations

import os
from typing import Any

from airflow.sdk import DAG, Param, task

from flowjob.operators.flow_job import FlowJobOperator

COMMON: dict[str, Any] = {
    "job_spec_file": "dummy_job_spec.yaml",
    "image": os.environ.get("FLOW_IMAGE", "gcr.io/dev/sales-flows:0.1.0"),
}


@task
def clusters(params: dict[str, Any]) -> list[str]:
    return list(params["clusters"])


with DAG(
    "several_clusters",
    schedule=None,
    params={"clusters": Param(["kubernetes_default"], type="array", title="Connections")},
    default_args={"owner": "sales"},
    owner_links={"sales": "mailto:sales@example.com"},
    tags=["flowjob", "mapping", "clusters"],
    doc_md=__doc__,
):
    sales = FlowJobOperator.partial(
        task_id="sales",
        flow="flows.regions:sales",
        parameters={"region": "{{ task.kubernetes_conn_id }}", "year": 2026},
        map_index_template="{{ task.kubernetes_conn_id }}",
        **COMMON,
    ).expand(kubernetes_conn_id=clusters())

    FlowJobOperator(
        task_id="total",
        flow="flows.regions:total",
        parameters={"sales": sales.output},
        kubernetes_conn_id="{{ params.clusters[0] }}",
        **COMMON,
    )
