"""A Job that says by itself what it runs, with parameters from Airflow's trigger form."""

from __future__ import annotations

import os

from airflow.sdk import DAG, Param

from flowjob.flows import SpecFlow
from flowjob.operators.flow_job import FlowJobOperator

with DAG(
    "hello_flow",
    schedule=None,
    params={
        "name": Param("world", type="string", description="Whom the flow greets"),
        "lines": Param(3, type="integer", minimum=1, maximum=100),
    },
    # Parameters keep their types: a number arrives as a number.
    render_template_as_native_obj=True,
    default_args={"owner": "platform"},
    owner_links={"platform": "mailto:platform@example.com"},
    tags=["flowjob", "parameters"],
    doc_md=__doc__,
):
    FlowJobOperator(
        task_id="hello",
        job_spec_file="hello_job_spec.yaml",
        image=os.environ.get("FLOW_IMAGE"),
        flow=SpecFlow(),
        parameters={"name": "{{ params.name }}", "lines": "{{ params.lines }}"},
    )
