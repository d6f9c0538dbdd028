"""What the events of a task's assets carry."""

from __future__ import annotations

from typing import Any

from airflow.sdk import Asset, AssetAlias
from airflow.sdk.execution_time.context import OutletEventAccessors

from flowjob.operators.flow_job import FlowJobOperator
from flowjob.worker.assets import tell_assets
from tests.unit.operators.test_flow_job import SPEC_DICT

JOB = {"metadata": {"labels": {"flow_run_id": "run-id"}}}
SALES, STOCK = Asset("sales"), Asset("stock", uri="s3://warehouse/stock")


def told(result: Any, job: Any = JOB, extra: Any = None) -> dict[Any, dict[str, Any]]:
    """Return what is told of each asset, where the task itself has told something of one."""
    task = FlowJobOperator(
        task_id="flow",
        job_spec=SPEC_DICT,
        flow=["true"],
        outlets=[SALES, STOCK, AssetAlias("any"), "plain"],
    )
    context: Any = {"task": task, "outlet_events": OutletEventAccessors()}
    if extra:
        context["outlet_events"][STOCK].extra.update(extra)
    tell_assets(context, job, result)
    events: Any = context["outlet_events"]
    return {asset.name: events[asset].extra for asset in events}


def test_an_assets_event_carries_the_flows_result() -> None:
    result = {"rows": 3}
    expected = {"flow_run_id": "run-id", "result": result}
    assert told(result) == {"sales": expected, "stock": expected}


def test_without_a_result_an_assets_event_has_the_flow_run_id_alone() -> None:
    assert told(None)["sales"] == {"flow_run_id": "run-id"}
    assert told(0)["sales"]["result"] == 0
    assert told(None, job=None)["sales"] == {}


def test_what_the_task_itself_has_told_of_an_asset_stays() -> None:
    extras = told(1, extra={"result": "of the task's own", "day": "2026-01-05"})
    assert extras["sales"] == {"flow_run_id": "run-id", "result": 1}
    assert extras["stock"] == {
        "flow_run_id": "run-id",
        "result": "of the task's own",
        "day": "2026-01-05",
    }
