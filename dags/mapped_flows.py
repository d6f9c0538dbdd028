"""One flow for each thing that there is, known when the DAG is written or when it runs."""

from __future__ import annotations

import os
from typing import Any

from airflow.sdk import DAG

from flowjob.operators.flow_job import FlowJobOperator

COMMON: dict[str, Any] = {
    "job_spec_file": "dummy_job_spec.yaml",
    "image": os.environ.get("FLOW_IMAGE", "gcr.io/dev/sales-flows:0.1.0"),
}

with DAG(
    "mapped_flows",
    schedule=None,
    default_args={"owner": "sales"},
    owner_links={"sales": "mailto:sales@example.com"},
    tags=["flowjob", "mapping"],
    doc_md=__doc__,
):
    # Known when the DAG is written; the UI shows each by its year in place of a number.
    FlowJobOperator.partial(
        task_id="years",
        flow="flows.regions:sales",
        map_index_template="{{ task.parameters['year'] }}",
        **COMMON,
    ).expand(parameters=[{"region": "eu", "year": 2024}, {"region": "eu", "year": 2025}])

    # Known when another flow has run: its result is a list of parameters ...
    regions = FlowJobOperator(task_id="regions", flow="flows.regions:regions", **COMMON)
    sales = FlowJobOperator.partial(
        task_id="sales",
        flow="flows.regions:sales",
        map_index_template="{{ task.parameters['region'] }}",
        **COMMON,
    ).expand(parameters=regions.output)

    # ... or of several arguments of the operator.
    FlowJobOperator.partial(
        task_id="forecast", flow="flows.regions:forecast", **COMMON
    ).expand_kwargs(
        regions.output.map(lambda one: {"parameters": one, "env": {"CURRENCY": one["region"]}})
    )

    # One flow gets the results of all.
    FlowJobOperator(
        task_id="total", flow="flows.regions:total", parameters={"sales": sales.output}, **COMMON
    )
