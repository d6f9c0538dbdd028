"""Flows among other tasks, as the example DAGs with several tasks have them, in both modes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.airflow.instance import AirflowInstance

DAGS = Path(__file__).parents[2] / "dags"


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


@pytest.mark.parametrize("mode", ["airflow", "deferring_airflow"])
def test_a_dag_of_flows_is_tried_out_without_a_scheduler(
    request: pytest.FixtureRequest, mode: str
) -> None:
    instance: AirflowInstance = request.getfixturevalue(mode)
    instance.client.wait_for_dag("python_functions")
    shown = instance.cli("dags", "test", "dummy_first_container", timeout=240)
    assert "MY_ENV is foo" in shown
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
