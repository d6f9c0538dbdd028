"""What a flow returns, and what Airflow makes of it."""

from __future__ import annotations

import os
from typing import Any

from airflow.sdk import DAG, Asset, task, task_group

from flowjob.operators.flow_job import FlowJobOperator

COMMON: dict[str, Any] = {
    "job_spec_file": "specs/plain.yaml",
    "image": os.environ.get("FLOW_IMAGE"),
}


def writes(text: str) -> list[str]:
    return ["sh", "-c", f"echo '{text}' > $FLOW_RESULT_PATH"]


@task
def received(value: object) -> object:
    return value


@task_group
def for_region(region: Any) -> None:
    FlowJobOperator(
        task_id="flow",
        flow=["sh", "-c", 'echo "[\\"$REGION\\", $FLOW_PARAMETERS]" > $FLOW_RESULT_PATH'],
        parameters={"region": region},
        env={"REGION": region},
        **COMMON,
    )


with DAG("results", schedule=None):
    regions = FlowJobOperator(task_id="regions", flow=writes('["eu", "us"]'), **COMMON)
    received(regions.output)

    outputs = FlowJobOperator(
        task_id="outputs",
        flow=writes('{"rows": 3, "file": "a"}'),
        multiple_outputs=True,
        # Defined below.
        outlets=[Asset.ref(name="of_results")],
        **COMMON,
    )
    # Typed as an XComArg that cannot be indexed, which it can.
    output: Any = outputs.output
    FlowJobOperator(
        task_id="uses_env",
        flow=["sh", "-c", "echo rows are $ROWS"],
        env={"ROWS": "{{ ti.xcom_pull('outputs', key='rows') }}", "FILE": output["file"]},
        **COMMON,
    )
    FlowJobOperator.partial(
        task_id="mapped",
        flow=["sh", "-c", "echo $AIRFLOW_CTX_MAP_INDEX; echo $FLOW_PARAMETERS > $FLOW_RESULT_PATH"],
        **COMMON,
    ).expand(parameters=received(regions.output).map(lambda region: {"region": region}))

    for_region.expand(region=regions.output)

    FlowJobOperator(
        task_id="ignores",
        flow=["sh", "-c", "echo done > $FLOW_RESULT_PATH"],
        do_xcom_push=False,
        outlets=[Asset("of_results")],
        **COMMON,
    )
