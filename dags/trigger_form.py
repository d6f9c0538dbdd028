"""Sales of a day and a region, on demand: Airflow's **trigger form** drives the flow.

- *Region* and *day* are its parameters, and the *image* is what it runs in.
- The *memory* is what its container may use at the first try. Each retry may use as much again, so
  that a flow that ran out of memory gets further.
"""

from __future__ import annotations

import os
from datetime import timedelta

from airflow.sdk import DAG, Param

from flowjob.operators.flow_job import FlowJobOperator

with DAG(
    "trigger_form",
    schedule=None,
    params={
        "region": Param("eu", type="string", enum=["eu", "us", "asia"], title="Region"),
        "day": Param("2026-01-05", type="string", format="date", title="Day"),
        "image": Param(
            os.environ.get("FLOW_IMAGE", "gcr.io/dev/sales-flows:0.1.0"),
            type="string",
            title="Image",
            description="The image that has the flow: another tag runs another version",
        ),
        "memory": Param(
            128,
            type="integer",
            minimum=32,
            maximum=4096,
            title="Memory (MiB)",
            description="What the first try may use; each retry may use as much again",
        ),
    },
    default_args={"owner": "sales", "retries": 2, "retry_delay": timedelta(seconds=10)},
    owner_links={"sales": "mailto:sales@example.com"},
    tags=["flowjob", "parameters", "memory"],
    doc_md=__doc__,
):
    FlowJobOperator(
        task_id="sales",
        job_spec_file="dummy_job_spec.yaml",
        name="sales-on-demand",
        image="{{ params.image }}",
        flow="flows.sales:on_demand",
        parameters={"region": "{{ params.region }}", "day": "{{ params.day }}"},
        container_overrides={
            "resources": {"limits": {"memory": "{{ params.memory * ti.try_number }}Mi"}}
        },
    )
