"""What those who wait in Kueue's queues ask for, and what becomes of it where nobody answers."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from flowjob.cluster.api_server import Cluster
from flowjob.status.outcome import Outcome
from flowjob.wait.flow_run_watch import FlowRunWatch
from flowjob.wait.until_end import wait_for_end
from flowjob.wait.workloads import QueueReader
from flowjob.worker.loop_thread import LoopThread
from tests.support.fake_api_server import (
    NO_PODS,
    Answer,
    Asked,
    FakeApiServer,
    completed_job,
    forbidden,
    job,
    job_list,
    status,
)
from tests.support.wait import wait_for

NOT_THERE = status(404, "NotFound", "the server could not find the requested resource")
ABSENT = "LocalQueue nightly doesn't exist"


def held_job(name: str) -> dict[str, Any]:
    """Return a Job that is suspended in a queue."""
    held = job(name)
    held["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] = "nightly"
    conditions = [{"type": "Suspended", "status": "True"}]
    return {**held, "status": {"conditions": conditions}}


def uids_of(asked: Asked) -> list[str]:
    return asked.query["labelSelector"].partition("(")[2].rstrip(")").split(",")


def workloads(message: str) -> Any:
    """Answer with a Workload of each Job that is asked about."""

    def answer(asked: Asked) -> Answer:
        reserved = {"type": "QuotaReserved", "status": "False", "message": message}
        items = [
            {
                "metadata": {"labels": {"kueue.x-k8s.io/job-uid": uid}},
                "status": {"conditions": [reserved]},
            }
            for uid in uids_of(asked)
        ]
        return Answer(
            {"kind": "WorkloadList", "metadata": {"resourceVersion": "1"}, "items": items}
        )

    return answer


@pytest.fixture(autouse=True)
def _quick(
    server: FakeApiServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    server.tell("GET", "/pods", NO_PODS)
    for path in ("/pods", "/jobs"):
        server.tell("WATCH", path, Answer(goes_on=True))
    server.tell("GET", "/jobs", held_jobs)
    monkeypatch.setattr("flowjob.wait.in_queue.QUEUE_WORD", 0.1)
    monkeypatch.setattr("flowjob.wait.in_queue.REMINDER", 0.3)
    monkeypatch.setattr("flowjob.wait.workloads.QUEUE_GATHERING", 0.05)
    caplog.set_level(logging.INFO, "flowjob")


def held_jobs(asked: Asked) -> Answer:
    if "fieldSelector" in asked.query:
        return job_list(held_job(asked.query["fieldSelector"].removeprefix("metadata.name=")))
    return job_list(*(held_job(each.removeprefix("id-of-")) for each in uids_of(asked)))


async def wait_for_all(
    cluster: Cluster, names: list[str], startup_timeout: float | None
) -> list[Outcome]:
    async with FlowRunWatch(cluster, "flows", "flow_run_id") as watch:
        ends = await asyncio.gather(
            *(
                wait_for_end(
                    cluster,
                    watch,
                    job(name),
                    lambda _: None,
                    startup_timeout=startup_timeout,
                    wait_for="job",
                )
                for name in names
            )
        )
        return [outcome for _, outcome in ends]


@contextmanager
def waiting(
    loop: LoopThread, cluster: Cluster, *names: str, startup_timeout: float | None = 60
) -> Iterator[None]:
    """Wait for flow runs until the block ends, and for none in vain."""
    future = loop.start(wait_for_all(cluster, list(names), startup_timeout))
    yield
    assert not future.done(), future.result()
    future.cancel()


def asked_of_kueue(server: FakeApiServer) -> list[Asked]:
    return [asked for asked in server.asked if asked.path.endswith("/workloads")]


def test_a_thousand_in_a_queue_are_asked_about_a_hundred_at_a_time(
    cluster: Cluster,
    server: FakeApiServer,
    loop: LoopThread,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("flowjob.wait.in_queue.REMINDER", 600)
    server.tell("GET", "/workloads", workloads("no room"))
    names = [f"n{number}" for number in range(1000)]

    def told() -> list[str]:
        return [line for line in caplog.messages if line.endswith("queue nightly: no room")]

    with waiting(loop, cluster, *names):
        wait_for(lambda: len(told()) == 1000, "a word about each", 60)
    asked = asked_of_kueue(server)
    assert sorted(itertools.chain(*map(uids_of, asked))) == sorted(f"uid-of-{n}" for n in names)
    # They do not all come at once.
    assert len(asked) < 100
    assert len(set(told())) == 1000


def test_what_is_told_already_is_not_told_again(
    cluster: Cluster, server: FakeApiServer, loop: LoopThread, caplog: pytest.LogCaptureFixture
) -> None:
    server.tell("GET", "/workloads", workloads("no room"))
    with waiting(loop, cluster, "a", startup_timeout=0.1):
        server.wait_for(4, "GET", "/workloads")
    assert caplog.messages.count("The Job a waits in queue nightly: no room") == 1


@pytest.mark.parametrize("startup_timeout", [None, 60])
def test_one_that_kueue_can_never_admit_has_its_whole_time_to_start(
    cluster: Cluster, server: FakeApiServer, loop: LoopThread, startup_timeout: float | None
) -> None:
    server.tell("GET", "/workloads", workloads(ABSENT))
    with waiting(loop, cluster, "a", startup_timeout=startup_timeout):
        server.wait_for(4, "GET", "/workloads")


def test_one_that_kueue_can_never_admit_fails_after_its_time_to_start(
    cluster: Cluster, server: FakeApiServer, loop: LoopThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flowjob.wait.in_queue.REMINDER", 600)
    server.tell("GET", "/workloads", workloads(ABSENT))
    began = time.monotonic()
    (outcome,) = loop.start(wait_for_all(cluster, ["a"], 1)).result(60)
    assert time.monotonic() - began > 1
    # When it came into its queue, and at the end of its time.
    assert len(asked_of_kueue(server)) == 2
    assert outcome.message == f"not admitted in queue nightly: {ABSENT}"
    assert outcome.facts == ["it has not been admitted in 1 s"]
    assert outcome.job_is_active


def test_one_that_was_in_vain_for_a_moment_has_its_whole_time_anew(
    cluster: Cluster, server: FakeApiServer, loop: LoopThread
) -> None:
    absent, full = workloads(ABSENT), workloads("no room")
    answers = itertools.cycle([absent, full])
    server.tell("GET", "/workloads", lambda asked: next(answers)(asked))
    # More often than it would take were it in vain all the time.
    with waiting(loop, cluster, "a", startup_timeout=0.1):
        server.wait_for(6, "GET", "/workloads")


@pytest.mark.parametrize(
    "answer",
    [forbidden("list", "workloads"), NOT_THERE, status(500, "InternalError", "no webhook")],
    ids=["no right", "no Kueue", "Kueue is away"],
)
def test_where_nobody_tells_of_the_queue_the_job_alone_is_waited_for_and_nobody_asks_for_a_minute(
    cluster: Cluster,
    server: FakeApiServer,
    loop: LoopThread,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    answer: Answer,
) -> None:
    server.tell("GET", "/workloads", answer)
    wanted, workloads_of = [], QueueReader.workloads_of

    async def counted(reader: QueueReader, held: dict[str, Any]) -> Any:
        wanted.append(held)
        return await workloads_of(reader, held)

    monkeypatch.setattr(QueueReader, "workloads_of", counted)
    with waiting(loop, cluster, "a", "b", "c", startup_timeout=0.2):
        wait_for(lambda: len(wanted) >= 12, "each to want to know more, again and again", 60)
    # By both versions of its words.
    assert len(asked_of_kueue(server)) <= 2
    told = [line for line in caplog.messages if "Kueue's Workloads are not read: HTTP" in line]
    assert len(told) == 3
    assert caplog.messages.count("The Job a is suspended, and waits in queue nightly") == 1


def test_an_older_kueue_is_asked_in_its_own_words(
    cluster: Cluster, server: FakeApiServer, loop: LoopThread, caplog: pytest.LogCaptureFixture
) -> None:
    server.tell("GET", "/v1beta2/namespaces/flows/workloads", NOT_THERE)
    server.tell("GET", "/v1beta1/namespaces/flows/workloads", workloads("no room"))
    told = "The Job a waits in queue nightly: no room"
    with waiting(loop, cluster, "a"):
        wait_for(lambda: told in caplog.messages, "a word about the queue")


def test_a_kueue_that_does_not_answer_holds_up_nobody_who_is_released(
    cluster: Cluster, server: FakeApiServer, loop: LoopThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flowjob.wait.workloads.QUEUE_ANSWER", 0.5)

    def silent(_: Asked) -> Answer:
        # From now on the Job is told to have ended, to who reads it again.
        server.tell("GET", "/jobs", job_list(completed_job("a"), version=9))
        return Answer(goes_on=True)

    server.tell("GET", "/workloads", silent)
    # None shows what changes, so the Job is read now and then.
    server.tell("WATCH", "/jobs", forbidden("watch", "jobs"))
    (outcome,) = loop.start(wait_for_all(cluster, ["a"], 1)).result(25)
    assert outcome.status == "succeeded"
