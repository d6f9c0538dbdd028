"""What those who wait on one watch are told while it sees nothing, each in a log of their own."""

from __future__ import annotations

import asyncio
import logging
from contextvars import ContextVar

import pytest

from flowjob.cluster.api_server import Cluster
from flowjob.status.outcome import Outcome
from flowjob.wait.flow_run_watch import FlowRunWatch
from flowjob.wait.until_end import wait_for_end
from flowjob.worker.loop_thread import LoopThread
from tests.support.fake_api_server import (
    NO_PODS,
    Answer,
    FakeApiServer,
    completed_job,
    event,
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
