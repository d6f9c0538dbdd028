"""What those who wait on one watch are told while it sees nothing, each in a log of their own."""

from __future__ import annotations

import asyncio
import logging
from contextvars import ContextVar

import pytest

from flowjob.cluster.api_server import Cluster
from flowjob.status.outcome import Outcome
from flowjob.wait.flow_run_watch import FlowRunWatch, watch_of
from flowjob.wait.until_end import wait_for_end
from flowjob.worker.loop_thread import LoopThread
from tests.support.fake_api_server import (
    NO_PODS,
    Answer,
    FakeApiServer,
    Manifest,
    completed_job,
    event,
    forbidden,
    job,
    job_list,
)

# Whose log a line goes to, as Airflow's triggerer tells.
whose: ContextVar[str] = ContextVar("whose", default="")


class Logs(logging.Handler):
    """Has each line with whose it is."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[tuple[str, str]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append((whose.get(), record.getMessage()))

    def of(self, name: str, about: str) -> list[str]:
        return [line for owner, line in self.lines if owner == name and about in line]


@pytest.fixture
def logs(monkeypatch: pytest.MonkeyPatch) -> Logs:
    handler, logger = Logs(), logging.getLogger("flowjob")
    monkeypatch.setattr(logger, "handlers", [*logger.handlers, handler])
    monkeypatch.setattr(logger, "level", logging.INFO)
    return handler


async def wait(cluster: Cluster, watch: FlowRunWatch, name: str) -> Outcome:
    whose.set(name)
    _, outcome = await wait_for_end(
        cluster, watch, job(name), lambda _: None, startup_timeout=None, wait_for="job"
    )
    return outcome


async def wait_for_all(cluster: Cluster, *names: str) -> list[str]:
    async with asyncio.timeout(60), FlowRunWatch(cluster, "flows", "x") as watch:
        outcomes = await asyncio.gather(*(wait(cluster, watch, name) for name in names))
    return [outcome.status for outcome in outcomes]


@pytest.mark.parametrize("from_the_start", [True, False])
def test_each_who_waits_is_told_what_for_while_the_api_server_is_away(
    cluster: Cluster, server: FakeApiServer, loop: LoopThread, logs: Logs, from_the_start: bool
) -> None:
    away, ends = (
        Answer(b"", 503),
        event("MODIFIED", completed_job("a")) + event("MODIFIED", completed_job("b")),
    )
    listed = job_list(job("a"), job("b"), version=5)
    server.tell("GET", "/pods", NO_PODS)
    server.tell("WATCH", "/pods", Answer(goes_on=True))
    server.tell("GET", "/jobs", *([away, away] if from_the_start else []), listed)
    server.tell("WATCH", "/jobs", *([] if from_the_start else [away, away]), Answer(ends))
    assert loop.run(wait_for_all(cluster, "a", "b")) == ["succeeded", "succeeded"]
    asked = "list" if from_the_start else "watch"
    told = f"to the {asked} of /apis/batch/v1/namespaces/flows/jobs"
    for name in ("a", "b"):
        assert len(logs.of(name, told)) == 1, logs.lines
    # And nobody else is, such as whoever happened to open the watch.
    assert logs.of("", told) == []


ENDED_POD = {
    "kind": "Pod",
    "metadata": {
        "name": "a-1",
        "namespace": "flows",
        "uid": "uid-of-a-1",
        "resourceVersion": "8",
        "labels": {"flow_run_id": "id-of-a"},
        "ownerReferences": [{"kind": "Job", "uid": "uid-of-a", "controller": True}],
        "creationTimestamp": "2026-01-01T00:00:00Z",
    },
    "spec": {"containers": [{"name": "flow-container"}]},
    "status": {
        "phase": "Succeeded",
        "containerStatuses": [
            {
                "name": "flow-container",
                "restartCount": 0,
                "state": {"terminated": {"exitCode": 0, "reason": "Completed", "message": "7"}},
            }
        ],
    },
}


ENDED_PODS = Answer({"kind": "PodList", "metadata": {"resourceVersion": "9"}, "items": [ENDED_POD]})


async def wait_alone(cluster: Cluster, new_job: Manifest) -> Outcome:
    async with asyncio.timeout(60), watch_of(cluster, new_job) as watch:
        _, outcome = await wait_for_end(
            cluster, watch, new_job, lambda _: None, startup_timeout=None, wait_for="job"
        )
    return outcome


def test_what_becomes_of_a_job_that_was_just_created_is_watched_and_nothing_is_listed(
    cluster: Cluster, server: FakeApiServer, loop: LoopThread
) -> None:
    server.tell("WATCH", "/pods", Answer(event("ADDED", ENDED_POD), goes_on=True))
    server.tell("WATCH", "/jobs", Answer(event("MODIFIED", completed_job("a")), goes_on=True))
    # Where the Job's end is seen first, its pods are read.
    server.tell("GET", "/pods", ENDED_PODS)
    outcome = loop.run(wait_alone(cluster, job("a", version=7)))
    assert (outcome.status, outcome.termination_message) == ("succeeded", "7")
    assert server.count("GET", "/jobs") == 0
    watches = [asked for asked in server.asked if asked.verb == "WATCH"]
    begun_at = {asked.path.rpartition("/")[2]: asked.query["resourceVersion"] for asked in watches}
    assert begun_at == {"jobs": "7", "pods": "0"}


@pytest.mark.parametrize(
    "missed", [Answer(event("ERROR", {"code": 410})), forbidden("watch", "jobs")]
)
def test_a_job_that_was_just_created_is_read_where_its_watch_shows_nothing(
    cluster: Cluster, server: FakeApiServer, loop: LoopThread, missed: Answer
) -> None:
    server.tell("WATCH", "/pods", Answer(event("ADDED", ENDED_POD), goes_on=True))
    server.tell("WATCH", "/jobs", missed, Answer(goes_on=True))
    server.tell("GET", "/jobs", job_list(completed_job("a"), version=9))
    server.tell("GET", "/pods", ENDED_PODS)
    assert loop.run(wait_alone(cluster, job("a", version=7))).status == "succeeded"
    assert server.count("GET", "/jobs") >= 1
