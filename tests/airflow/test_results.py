"""What a flow returns, and what Airflow makes of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.support.airflow.instance import AirflowInstance

Xcoms = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def run_id(airflow: AirflowInstance) -> str:
    started = airflow.client.trigger("results")
    assert airflow.client.wait_for_run("results", started, timeout=180) == "success"
    return started


@pytest.fixture
def xcoms(airflow: AirflowInstance, run_id: str) -> Xcoms:
    def of(task_id: str, map_index: int = -1) -> dict[str, Any]:
        return airflow.client.xcoms("results", run_id, task_id, map_index)

    return of


def test_the_flows_result_is_the_tasks_output(xcoms: Xcoms) -> None:
    assert xcoms("regions")["return_value"] == ["eu", "us"]
    assert xcoms("received")["return_value"] == ["eu", "us"]


def test_multiple_outputs_have_an_xcom_each(xcoms: Xcoms) -> None:
    found = xcoms("outputs")
    assert (found["rows"], found["file"]) == (3, "a")


def test_env_waits_for_the_outputs_that_it_uses(airflow: AirflowInstance, run_id: str) -> None:
    assert "rows are 3" in airflow.client.log("results", run_id, "uses_env")


def test_tasks_map_over_a_flows_result(airflow: AirflowInstance, run_id: str, xcoms: Xcoms) -> None:
    found = [xcoms("mapped", index) for index in (0, 1)]
    assert [x["return_value"] for x in found] == [{"region": "eu"}, {"region": "us"}]
    assert found[0]["job_name"] != found[1]["job_name"]
    for index in (0, 1):
        log = airflow.client.log_messages("results", run_id, "mapped", map_index=index)
        assert str(index) in [m["event"] for m in log if isinstance(m, dict)]


def test_a_group_of_tasks_maps_over_a_flows_result(xcoms: Xcoms) -> None:
    found = [xcoms("for_region.flow", index)["return_value"] for index in (0, 1)]
    assert found == [[region, {"region": region}] for region in ("eu", "us")]


def test_without_xcom_push_any_termination_message_will_do(xcoms: Xcoms) -> None:
    found = xcoms("ignores")
    assert found["status"] == "succeeded"
    assert "return_value" not in found


def test_an_assets_event_has_the_flow_run_and_its_result_where_that_is_wanted(
    airflow: AirflowInstance, run_id: str, xcoms: Xcoms
) -> None:
    for task_id, result in (("outputs", {"rows": 3, "file": "a"}), ("ignores", None)):
        params = {"source_dag_id": "results", "source_run_id": run_id, "source_task_id": task_id}
        answer = airflow.client.request("GET", "assets/events", params=params)
        (event,) = answer["asset_events"]
        expected = {"flow_run_id": xcoms(task_id)["flow_run_id"], "result": result}
        assert {name: event["extra"].get(name) for name in expected} == expected
