"""What those who wait have read: their own flow runs, many at once, and nothing else."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from contextlib import suppress

import pytest

from flowjob.cluster.api_server import Cluster
from flowjob.exceptions import ClusterError
from flowjob.status.observation import Observation, has_ended
from flowjob.wait.collection import Collection
from flowjob.wait.flow_run_watch import FlowRunWatch
from flowjob.wait.followed_jobs import FollowedJob
from flowjob.wait.reader import Reader
from flowjob.wait.until_end import wait_for_end
from flowjob.worker.loop_thread import LoopThread
from tests.support.fake_api_server import (
    NO_PODS,
    PAGE,
    UNAUTHORIZED,
    Answer,
    Asked,
    FakeApiServer,
    completed_job,
    forbidden,
    job,
    job_list,
    status,
)

EXPIRED = status(410, "Expired", "The provided continue parameter is too old")


def names_of(asked: Asked) -> list[str]:
    """Return whose flow runs a list is asked for."""
    if "fieldSelector" in asked.query:
        return [asked.query["fieldSelector"].removeprefix("metadata.name=")]
    ids = asked.query["labelSelector"].partition("(")[2].rstrip(")").split(",")
    return [each.removeprefix("id-of-") for each in ids]


def all_completed(asked: Asked) -> Answer:
    return job_list(*map(completed_job, names_of(asked)), version=9)


def in_pages(names: list[str]) -> Callable[[Asked], Answer]:
    """Answer with those that are asked for, or with pages of all of these."""

    def answer(asked: Asked) -> Answer:
        if " in (" in asked.query.get("labelSelector", "") or "fieldSelector" in asked.query:
            return all_completed(asked)
        first, size = int(asked.query.get("continue", 0)), int(asked.query["limit"])
        following = first + size
        goes_on = str(following) if following < len(names) else ""
        page = map(completed_job, names[first:following])
        return job_list(*page, version=9, goes_on=goes_on)

    return answer


def lists_of_jobs(server: FakeApiServer) -> list[Asked]:
    return [each for each in server.asked if each.verb == "GET" and each.path.endswith("/jobs")]


@pytest.fixture(autouse=True)
def _watches(server: FakeApiServer) -> None:
    server.tell("GET", "/pods", NO_PODS)
    for path in ("/pods", "/jobs"):
        server.tell("WATCH", path, Answer(goes_on=True))


async def wait_for_all(cluster: Cluster, names: list[str], asked_again: float = 60) -> list[str]:
    watched = FlowRunWatch(cluster, "flows", "flow_run_id", asked_again=asked_again)
    async with asyncio.timeout(60), watched as watch:
        ends = await asyncio.gather(
            *(
                wait_for_end(
                    cluster, watch, job(name), lambda _: None, startup_timeout=None, wait_for="job"
                )
                for name in names
            )
        )
    return [outcome.status for _, outcome in ends]


def test_thousands_that_wait_are_read_a_hundred_at_a_time(
    cluster: Cluster, server: FakeApiServer, loop: LoopThread
) -> None:
    names = [f"n{number}" for number in range(1000)]
    server.tell("GET", "/jobs", all_completed)
    assert loop.run(wait_for_all(cluster, names)) == ["succeeded"] * 1000
    lists = [names_of(asked) for asked in lists_of_jobs(server)]
    assert sorted(itertools.chain(*lists)) == sorted(names)
    assert len(lists) < 20
    # From the first of them on, whatever changes is shown.
    watched = {
        asked.path.rpartition("/")[2]: asked.query["resourceVersion"]
        for asked in server.asked
        if asked.verb == "WATCH"
    }
    assert watched == {"jobs": "9", "pods": "1"}


async def read_at_once(cluster: Cluster, names: list[str]) -> list[FollowedJob]:
    """Have so many read as a triggerer that has just started; return what is known of them."""
    jobs, pods = (Collection(f"/{kind}", "nothing is known", print) for kind in ("jobs", "pods"))
    reader = Reader(cluster, jobs, pods, "flow_run_id", lambda *_: None)
    followed = [FollowedJob(f"id-of-{name}", Observation(job(name))) for name in names]
    await asyncio.gather(*map(reader.read, followed))
    await reader.close()
    return followed


def test_many_thousands_that_wait_are_read_as_one_list(
    cluster: Cluster, server: FakeApiServer, loop: LoopThread
) -> None:
    names = [f"n{number}" for number in range(6000)]
    server.tell("GET", "/jobs", in_pages([*(f"kept{number}" for number in range(100)), *names]))
    followed = loop.run(read_at_once(cluster, names))
    assert all(each.is_shown and has_ended(each.observation) for each in followed)
    assert server.count("GET", "/jobs") == 25
    assert server.count("GET", "/pods") == 1


def test_many_thousands_that_wait_beside_more_that_are_kept_read_little_of_those(
    cluster: Cluster, server: FakeApiServer, loop: LoopThread
) -> None:
    names = [f"n{number}" for number in range(6000)]
    server.tell("GET", "/jobs", in_pages([*(f"kept{number}" for number in range(9000)), *names]))
    followed = loop.run(read_at_once(cluster, names))
    assert all(each.is_shown and has_ended(each.observation) for each in followed)
    assert server.count("GET", "/jobs") == 1 + 60


@pytest.mark.parametrize(
    "passing",
    [forbidden("list", "jobs"), UNAUTHORIZED, PAGE, EXPIRED],
    ids=["403", "401", "page", "410"],
)
def test_what_is_read_is_whole_although_its_second_page_was_refused_for_a_moment(
    cluster: Cluster, server: FakeApiServer, loop: LoopThread, passing: Answer
) -> None:
    refused = iter([passing])

    def paged(asked: Asked) -> Answer:
        if "continue" not in asked.query:
            return job_list(completed_job("a"), version=5, goes_on="page-2")
        return next(refused, job_list(completed_job("b"), version=5))

    server.tell("GET", "/jobs", paged)
    assert loop.run(wait_for_all(cluster, ["a", "b"])) == ["succeeded", "succeeded"]
    assert next(refused, None) is None


def test_a_job_whose_labels_were_changed_is_read_by_its_name(
    cluster: Cluster, server: FakeApiServer, loop: LoopThread
) -> None:
    server.tell("GET", "/jobs", job_list(version=5))
    server.tell("GET", "/jobs/a", Answer(job("a")), Answer(completed_job("a")))
    assert loop.run(wait_for_all(cluster, ["a"])) == ["succeeded"]


def test_one_odd_object_costs_its_neighbours_nothing(
    cluster: Cluster,
    server: FakeApiServer,
    loop: LoopThread,
    caplog: pytest.LogCaptureFixture,
) -> None:
    odd = {"metadata": {"name": "odd"}}
    server.tell("GET", "/jobs", job_list(odd, completed_job("a"), version=5))
    assert loop.run(wait_for_all(cluster, ["a"])) == ["succeeded"]
    assert "'odd', is left out" in caplog.text


def test_what_changed_while_no_watch_was_open_is_read(
    cluster: Cluster, server: FakeApiServer, loop: LoopThread
) -> None:
    server.tell("GET", "/jobs", job_list(job("a"), version=5), all_completed)
    gone = {"type": "ERROR", "object": {"kind": "Status", "code": 410, "reason": "Expired"}}
    server.tell("WATCH", "/jobs", Answer(gone), Answer(goes_on=True))
    assert loop.run(wait_for_all(cluster, ["a"])) == ["succeeded"]


def test_a_watch_that_expires_again_and_again_hammers_nobody(
    cluster: Cluster, server: FakeApiServer, loop: LoopThread
) -> None:
    server.tell("GET", "/jobs", job_list(job("a"), version=5))
    server.tell("WATCH", "/jobs", EXPIRED)

    async def wait_a_while() -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(3):
                await wait_for_all(cluster, ["a"])

    loop.run(wait_a_while())
    assert server.count("WATCH", "/jobs") in range(2, 8)
    assert server.count("GET", "/jobs") in range(2, 12)


def test_who_may_not_watch_reads_more_and_more_seldom_although_the_right_is_asked_for_again(
    cluster: Cluster, server: FakeApiServer, loop: LoopThread
) -> None:
    server.tell("GET", "/jobs", job_list(job("a"), version=5))
    server.tell("WATCH", "/jobs", forbidden("watch", "jobs"))

    async def wait_a_while() -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(4):
                await wait_for_all(cluster, ["a"], asked_again=0.1)

    loop.run(wait_a_while())
    assert server.count("WATCH", "/jobs") >= 5
    assert server.count("GET", "/jobs") in range(2, 10)


def test_a_watch_of_which_nothing_can_be_read_is_given_up_although_lists_can(
    cluster: Cluster, server: FakeApiServer, loop: LoopThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flowjob.cluster.transport.PATIENCE", 2)
    server.tell("GET", "/jobs", job_list(job("a"), version=5))
    server.tell("WATCH", "/jobs", PAGE)
    with pytest.raises(ClusterError, match=r"to the watch of .*/jobs for 2 s"):
        loop.run(wait_for_all(cluster, ["a"]))
