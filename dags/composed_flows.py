"""Flows among other tasks: set-up and clean-up, a branch on a result, a group, a pool, callbacks.

What the flows are given comes from the trigger form, an Airflow Variable and a connection.
"""

from __future__ import annotations

import os
from typing import Any

from airflow.sdk import DAG, Context, Param, TaskGroup, task

from flowjob.operators.flow_job import FlowJobOperator

COMMON: dict[str, Any] = {
    "job_spec_file": "composed_job_spec.yaml",
    "image": os.environ.get("FLOW_IMAGE", "gcr.io/dev/sales-flows:0.1.0"),
}


def tell(context: Context) -> None:
    ti = context["ti"]
    status = ti.xcom_pull(task_ids=ti.task_id, key="status")
    print(f"The flow of {ti.task_id} has {status}")


@task.branch
def choose(rows: int) -> str:
    return "load.whole" if rows <= 10 else "load.sample"


with DAG(
    "composed_flows",
    schedule=None,
    params={"rows": Param(3, type="integer")},
    # Numbers arrive as numbers.
    render_template_as_native_obj=True,
    default_args={"owner": "platform"},
    owner_links={"platform": "mailto:platform@example.com"},
    tags=["flowjob", "composition"],
    doc_md=__doc__,
):
    prepare = FlowJobOperator(
        task_id="prepare",
        flow="flows.warehouse:prepare",
        env={
            "CLUSTER_NAMESPACE": (
                "{{ conn.kubernetes_default.extra_dejson.get('namespace', 'default') }}"
            )
        },
        **COMMON,
    )
    measure = FlowJobOperator(
        task_id="measure",
        flow="flows.warehouse:measure",
        parameters={"rows": "{{ params.rows }}", "limit": "{{ var.json.get('row_limit', 100) }}"},
        # Each key of its result is an XCom of its own.
        multiple_outputs=True,
        # So that no more flows read the warehouse at a time than the pool has slots.
        pool="default_pool",
        on_success_callback=tell,
        on_failure_callback=tell,
        **COMMON,
    )
    with TaskGroup("load") as load:
        for how in ("whole", "sample"):
            FlowJobOperator(
                task_id=how, flow="flows.warehouse:load", parameters={"how": how}, **COMMON
            )
    report = FlowJobOperator(
        task_id="report",
        flow=["sh", "-c", "echo There were $ROWS rows"],
        env={"ROWS": "{{ ti.xcom_pull('measure', key='rows') }}"},
        # The branch has skipped one of both.
        trigger_rule="none_failed_min_one_success",
        **COMMON,
    )
    # It runs whatever became of the flows between both, and counts for nothing in the DAG's state.
    clean_up = FlowJobOperator(task_id="clean_up", flow="flows.warehouse:clean_up", **COMMON)

    prepare >> measure >> choose(measure.output["rows"]) >> load >> report
    report >> clean_up.as_teardown(setups=prepare)
