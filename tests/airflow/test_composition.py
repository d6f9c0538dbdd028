"""Flows among other tasks, as the example DAGs with several tasks have them, in both modes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from tests.support.airflow.instance import AirflowInstance
from tests.support.wait import wait_for

DAGS = Path(__file__).parents[2] / "dags"
AIRFLOW_3_1 = metadata.version("apache-airflow-core").startswith("3.1.")


@dataclass
class Ran:
    """A run of an example in one of the Airflows, and how it ended."""

    airflow: AirflowInstance
    dag_id: str
    run_id: str
    state: str

    def xcoms(self, task_id: str, map_index: int = -1) -> dict[str, Any]:
        return self.airflow.client.xcoms(self.dag_id, self.run_id, task_id, map_index)

    def result(self, task_id: str, map_index: int = -1) -> Any:
        return self.xcoms(task_id, map_index)["return_value"]

    def log(self, task_id: str, map_index: int = -1) -> str:
        return self.airflow.client.log(self.dag_id, self.run_id, task_id, map_index=map_index)

    def task(self, task_id: str, map_index: int = -1) -> dict[str, Any]:
        return self.airflow.client.task_instance(self.dag_id, self.run_id, task_id, map_index)

    @property
    def states(self) -> dict[str, str]:
        tasks = self.airflow.client.task_instances(self.dag_id, self.run_id)
        return {task["task_id"]: task["state"] for task in tasks}

    @property
    def flow_run_ids(self) -> list[str]:
        tasks = self.airflow.client.task_instances(self.dag_id, self.run_id)
        return [self.xcoms(task["task_id"], task["map_index"])["flow_run_id"] for task in tasks]


Run = Callable[..., list[Ran]]


@pytest.fixture
def run(airflow: AirflowInstance, deferring_airflow: AirflowInstance) -> Run:
    """Run an example in a worker and in the triggerer at once, and wait for both."""

    def run_in_both_modes(
        dag_id: str, conf: dict[str, Any] | None = None, state: str = "success"
    ) -> list[Ran]:
        instances = (airflow, deferring_airflow)
        run_ids = [instance.client.trigger(dag_id, conf=conf) for instance in instances]
        ran = []
        for instance, run_id in zip(instances, run_ids, strict=True):
            ended = instance.client.wait_for_run(dag_id, run_id, timeout=240)
            ran.append(Ran(instance, dag_id, run_id, ended))
            assert ended == state, instance.client.run_evidence(dag_id, run_id)
        return ran

    return run_in_both_modes


def waited_in_the_triggerer(ran: Ran, task_id: str, map_index: int = -1) -> bool:
    return "Pausing task as DEFERRED" in ran.log(task_id, map_index)


def test_functions_of_a_dag_file_run_on_jobs_in_both_modes(run: Run) -> None:
    in_both = run("python_functions")
    for ran in in_both:
        assert ran.result("regions") == ["eu", "us"]
        expected = [{"region": name, "rows": 2, "run": ran.run_id} for name in ("eu", "us")]
        assert [ran.result("sales", index) for index in (0, 1)] == expected
        assert ran.result("total") == 40
        assert "Sales of us, by Python 3." in ran.log("sales", 1)
        assert len(set(ran.flow_run_ids)) == 4
        found = ran.xcoms("sales", 1)
        assert found["job_name"].startswith("python-functions-")
        # Each key of its result, which is a mapping by its type, is an XCom of its own.
        assert found["rows"] == 2
        # Airflow stores the source with the DAG, and not again with each task instance.
        rendered = str(ran.task("sales", 1)["rendered_fields"])
        assert "'region': 'us'" in rendered
        assert "import platform" not in rendered
    assert [waited_in_the_triggerer(ran, "total") for ran in in_both] == [False, True]


def test_one_flow_runs_for_each_of_what_another_returns_in_both_modes(run: Run) -> None:
    in_both = run("mapped_flows")
    for ran in in_both:
        years = [{"region": "eu", "rows": rows} for rows in (24, 25)]
        assert [ran.result("years", index) for index in (0, 1)] == years
        assert [ran.result("sales", index)["region"] for index in (0, 1)] == ["eu", "us"]
        forecasts = [f"{region} 2026 in the currency of {region}" for region in ("eu", "us")]
        assert [ran.result("forecast", index) for index in (0, 1)] == forecasts
        assert ran.result("total") == {"regions": ["eu", "us"], "rows": 52}
        assert len(set(ran.flow_run_ids)) == 8
        # What the UI shows in place of the map indexes.
        labels = [ran.task(task, 1)["rendered_map_index"] for task in ("years", "sales")]
        assert labels == ["2025", "us"]
    assert [waited_in_the_triggerer(ran, "sales", 1) for ran in in_both] == [False, True]


def test_a_dag_that_an_asset_starts_gets_the_result_of_the_flow_in_both_modes(
    airflow: AirflowInstance, deferring_airflow: AirflowInstance, run: Run
) -> None:
    for instance in (airflow, deferring_airflow):
        instance.client.wait_for_dag("sales_report")
        instance.client.request("PATCH", "dags/sales_report", json={"is_paused": False})
    for ran in run("sales_asset"):
        client = ran.airflow.client
        events = client.request("GET", "assets/events", params={"source_dag_id": "sales_asset"})
        (event,) = [e for e in events["asset_events"] if e["source_run_id"] == ran.run_id]
        result = {"rows": 3, "file": "sales.csv"}
        told = {"flow_run_id": ran.xcoms("sales")["flow_run_id"], "result": result}
        assert {name: event["extra"].get(name) for name in told} == told

        started = wait_for(partial(client.dag_runs, "sales_report"), "the DAG to be started", 60)
        report_id = started[-1]["dag_run_id"]
        assert started[-1]["run_type"] == "asset_triggered"
        assert client.wait_for_run("sales_report", report_id) == "success"
        assert "There are 3 rows in sales.csv" in client.log("sales_report", report_id, "report")


@pytest.fixture
def row_limit(airflow: AirflowInstance, deferring_airflow: AirflowInstance) -> Iterator[None]:
    """The Airflow Variable that one of the flows takes."""
    instances = (airflow, deferring_airflow)
    for instance in instances:
        body = {"key": "row_limit", "value": "2"}
        instance.client.request("POST", "variables", json=body)
    yield
    for instance in instances:
        instance.client.request("DELETE", "variables/row_limit")


@pytest.mark.usefixtures("row_limit")
def test_flows_are_set_up_branched_on_and_cleaned_up_after_in_both_modes(
    run: Run, airflow_namespace: str
) -> None:
    in_both = run("composed_flows")
    for ran in in_both:
        states = ran.states
        assert states.pop("load.sample") == "skipped"
        assert set(states.values()) == {"success"}
        # Of a connection, the form and a Variable.
        assert f"Prepared the warehouse in {airflow_namespace}" in ran.log("prepare")
        assert ran.result("measure") == {"rows": 2, "left": 1}
        assert "The flow of measure has succeeded" in ran.log("measure")
        assert ran.result("load.whole") == "loaded whole"
        assert "There were 2 rows" in ran.log("report")
        assert "Cleaned up" in ran.log("clean_up")
        assert ran.task("measure")["pool"] == "default_pool"

    # A flow that is cleared is set up and cleaned up after once more.
    before = [ran.xcoms("measure")["flow_run_id"] for ran in in_both]
    for ran in in_both:
        ran.airflow.client.clear(ran.dag_id, ran.run_id, ["measure"], include_downstream=True)
    for ran, flow_run_id in zip(in_both, before, strict=True):
        assert ran.airflow.client.wait_for_run(ran.dag_id, ran.run_id, timeout=240) == "success"
        assert ran.xcoms("measure")["flow_run_id"] != flow_run_id
        tries = {name: ran.task(name)["try_number"] for name in ("prepare", "measure", "clean_up")}
        assert set(tries.values()) == {2}, tries


def test_what_was_set_up_is_cleaned_up_after_a_flow_that_failed_in_both_modes(run: Run) -> None:
    for ran in run("composed_flows", conf={"rows": -1}, state="failed"):
        assert ran.states["measure"] == "failed"
        assert ran.states["report"] == "upstream_failed"
        assert ran.states["clean_up"] == "success"
        assert "there cannot be -1 rows" in ran.xcoms("measure")["outcome"]["message"]
        assert "The flow of measure has failed" in ran.log("measure")
        assert "Cleaned up" in ran.log("clean_up")


@pytest.mark.skipif(AIRFLOW_3_1, reason="Airflow 3.1 has no such deadlines")
def test_a_flow_that_is_not_done_in_time_is_told_of_and_goes_on_in_both_modes(run: Run) -> None:
    for ran in run("flow_deadline"):
        told = f"Not done in time: {ran.run_id}".encode()

        def is_told(instance: AirflowInstance = ran.airflow, told: bytes = told) -> bool:
            return any(told in text for _, text in instance.all_logs())

        wait_for(is_told, "the deadline's function to be called", 60)
        assert ran.xcoms("flow")["status"] == "succeeded"


@pytest.mark.parametrize("mode", ["airflow", "deferring_airflow"])
def test_a_dag_of_flows_is_tried_out_without_a_scheduler(
    request: pytest.FixtureRequest, mode: str
) -> None:
    instance: AirflowInstance = request.getfixturevalue(mode)
    instance.client.wait_for_dag("python_functions")
    for dag_id in ("hello_flow", "python_functions"):
        # The scheduler of this Airflow would take tasks of the run, too.
        instance.client.request("PATCH", f"dags/{dag_id}", json={"is_paused": True})
    shown = instance.cli("dags", "test", "hello_flow", timeout=240)
    assert "Hello world, line 3" in shown
    done = subprocess.run(
        [sys.executable, DAGS / "python_functions.py"],
        env=instance.environment,
        cwd=instance.home,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (last,) = [r for r in instance.client.dag_runs("python_functions") if not r["queued_at"]][-1:]
    assert last["state"] == "success", done.stdout + done.stderr
    xcoms = instance.client.xcoms("python_functions", last["dag_run_id"], "total")
    assert xcoms["return_value"] == 40
