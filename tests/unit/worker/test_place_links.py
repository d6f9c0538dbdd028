"""When the links of a flow run are written again while a worker waits."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from flowjob.status.observation import Observation
from flowjob.status.outcome import Outcome
from flowjob.worker.place_links import PlaceLinks

JOB: dict[str, Any] = {"metadata": {"name": "sales-1"}, "spec": {}}
MANY: dict[str, Any] = {"metadata": {"name": "sales-1"}, "spec": {"parallelism": 5000}}


class Pushed:
    """Takes what would be pushed."""

    def __init__(self, error: Exception | None = None) -> None:
        self.outcomes: list[Outcome] = []
        self._error = error

    def push_links(self, job: Any, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        if self._error:
            raise self._error


def pod(name: str, *, node: str | None = "n1", state: str = "running") -> dict[str, Any]:
    status = {"name": "flow", "state": {state: {"startedAt": "2026-02-03T00:00:05Z"}}}
    return {
        "metadata": {"name": name},
        "spec": {"nodeName": node, "containers": [{"name": "flow"}]},
        "status": {"containerStatuses": [status]},
    }


def pushed(
    job: dict[str, Any], *news: dict[str, Any], error: Exception | None = None
) -> list[Outcome]:
    xcoms: Any = Pushed(error)

    async def see_all() -> None:
        links = PlaceLinks(xcoms, job)
        for pods in news:
            links.see(Observation(job, pods))
            await links.close()

    asyncio.run(see_all())
    outcomes: list[Outcome] = xcoms.outcomes
    return outcomes


@pytest.fixture(autouse=True)
def template(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__FLOWJOB__LOG_URL", "https://logs/{pod}")


def test_a_link_says_which_pod_runs_the_flow_once_for_each_attempt() -> None:
    waits, runs = pod("a", state="waiting"), pod("a")
    told = pushed(JOB, {"1": pod("a", node=None)}, {"1": waits}, {"1": runs}, {"1": runs})
    assert told == [
        Outcome("running", pod="a", node="n1", started_at="2026-02-03T00:00:05Z"),
    ]
    told = pushed(JOB, {"1": runs}, {"2": pod("b", node="n2")}, {"1": runs})
    assert [each.pod for each in told] == ["a", "b"]


def test_a_job_of_thousands_of_pods_writes_its_links_once() -> None:
    pods = {str(number): pod(f"p{number}") for number in range(5000)}
    assert len(pushed(MANY, pods, pods, {"later": pod("later")})) == 1


def test_a_link_that_is_known_from_the_beginning_is_not_written_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AIRFLOW__FLOWJOB__LOG_URL", "https://logs/{job_name}")
    assert pushed(JOB, {"1": pod("a")}) == []


def test_a_link_that_cannot_be_written_costs_no_flow_run() -> None:
    assert len(pushed(JOB, {"1": pod("a")}, error=RuntimeError("Airflow is away"))) == 1
