"""A deferrable task waits in the worker first: nothing of its flow run is other for that."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pytest

from tests.airflow.dags.defer_after import SHORT
from tests.support.airflow.instance import AirflowInstance

DAG_ID = "defer_after"
ALL_LINES = [f"line {number}" for number in range(100)]


@pytest.fixture(scope="module")
def run_id(airflow: AirflowInstance) -> str:
    run_id = airflow.client.trigger(DAG_ID)
    airflow.client.wait_for_run(DAG_ID, run_id)
    return run_id


class Task:
    """What is left of a task of the run."""

    def __init__(self, airflow: AirflowInstance, run_id: str, task_id: str) -> None:
        self._client, self._which = airflow.client, (DAG_ID, run_id, task_id)

    @property
    def state(self) -> str:
        state: str = self._client.task_instance(*self._which)["state"]
        return state

    @property
    def xcoms(self) -> dict[str, Any]:
        return self._client.xcoms(*self._which)

    @property
    def messages(self) -> list[dict[str, Any]]:
        messages = self._client.log_messages(*self._which)
        # Airflow's own headings have no time.
        return [m for m in messages if isinstance(m, dict) and m.get("timestamp")]

    @property
    def events(self) -> list[str]:
        return [message["event"] for message in self.messages]

    @property
    def lines(self) -> list[str]:
        """The flow's own."""
        return [event for event in self.events if event.startswith("line ")]

    @property
    def has_deferred(self) -> bool:
        return any(event.startswith("Pausing task as DEFERRED") for event in self.events)


def test_a_short_flow_ends_in_the_worker_with_its_result_and_its_log(
    airflow: AirflowInstance, run_id: str
) -> None:
    task = Task(airflow, run_id, "short")
    assert (task.state, task.has_deferred) == ("success", False)
    assert task.xcoms["status"] == "succeeded"
    assert task.xcoms["return_value"] == 7
    assert task.lines == ALL_LINES


def test_the_log_of_a_short_flow_is_whole_although_its_job_is_gone_at_its_end(
    airflow: AirflowInstance, run_id: str
) -> None:
    task = Task(airflow, run_id, "taken")
    assert (task.state, task.has_deferred) == ("success", False)
    assert task.lines == ALL_LINES


def test_a_short_flow_that_fails_says_how_and_shows_its_log(
    airflow: AirflowInstance, run_id: str
) -> None:
    task = Task(airflow, run_id, "fails")
    assert (task.state, task.has_deferred) == ("failed", False)
    assert (task.xcoms["status"], task.xcoms["outcome"]["exit_code"]) == ("failed", 3)
    assert task.lines == ALL_LINES


def test_a_flow_run_that_cannot_start_is_told_of_by_the_worker_that_launched_it(
    airflow: AirflowInstance, run_id: str
) -> None:
    task = Task(airflow, run_id, "does_not_start")
    assert (task.state, task.has_deferred) == ("failed", False)
    assert task.xcoms["outcome"]["reason"] == "InvalidImageName"


def test_a_flow_that_goes_on_is_waited_for_in_the_triggerer_and_each_line_comes_once(
    airflow: AirflowInstance, run_id: str
) -> None:
    task = Task(airflow, run_id, "long")
    assert (task.state, task.has_deferred) == ("success", True)
    assert task.lines == ALL_LINES
    assert not [event for event in task.events if "not shown" in event]
    at = {message["event"].partition(" ")[0]: message["timestamp"] for message in task.messages}
    created, deferred = (datetime.fromisoformat(at[word]) for word in ("Created", "Pausing"))
    assert (deferred - created).total_seconds() >= SHORT


@pytest.mark.parametrize("map_index", [0, 1])
def test_mapped_tasks_wait_in_the_worker_first_too(
    airflow: AirflowInstance, run_id: str, map_index: int
) -> None:
    log = airflow.client.log(DAG_ID, run_id, "mapped", map_index=map_index)
    assert "Pausing task as DEFERRED" not in log
    xcoms = airflow.client.xcoms(DAG_ID, run_id, "mapped", map_index)
    assert xcoms["return_value"] == {"number": map_index + 1}
