"""What a watch survives: each that waits in a triggerer depends on it."""

from __future__ import annotations

import asyncio
from contextlib import aclosing

import pytest

from flowjob.cluster.api_server import Cluster
from flowjob.cluster.errors import ApiError
from flowjob.cluster.watch import Changed, Opened, watch
from flowjob.exceptions import ClusterError
from flowjob.worker.loop_thread import LoopThread
from tests.support.fake_api_server import (
    PAGE,
    UNAUTHORIZED,
    Answer,
    FakeApiServer,
    event,
    forbidden,
    job,
    job_list,
)

PATH = "/apis/batch/v1/namespaces/flows/jobs"
LISTED = job_list(job("a"), version=5)
EXPIRED = event("ERROR", {"kind": "Status", "code": 410})
ENDED = event("MODIFIED", job("a", 9))


async def seen_until(cluster: Cluster, uid: str) -> list[Opened | Changed]:
    """Return what is seen up to the change of the Job of this uid, or the end."""
    seen: list[Opened | Changed] = []
    patience = cluster.patience(asked=f"the watch of {PATH}")
    async with asyncio.timeout(60), aclosing(watch(cluster, PATH, "x", "5", patience)) as events:
        async for each in events:
            seen.append(each)
            if isinstance(each, Changed) and each.object["metadata"]["uid"] == uid:
                break
    return seen


def told_of(seen: list[Opened | Changed]) -> list[str]:
    return [each.object["metadata"]["name"] for each in seen if isinstance(each, Changed)]


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param([Answer(b"", 503)], id="a server that ends"),
        pytest.param([UNAUTHORIZED] * 4, id="an authenticator that only starts"),
        pytest.param(
            [Answer(b""), *[forbidden("watch", "jobs")] * 4],
            id="roles that are not read yet by a server that has started again",
        ),
        pytest.param([Answer(b"")] * 4, id="a proxy that ends each watch at once"),
    ],
)
def test_a_watch_goes_on_after_what_passes(
    cluster: Cluster, server: FakeApiServer, loop: LoopThread, broken: list[Answer]
) -> None:
    server.tell("WATCH", "/jobs", *broken, Answer(event("ADDED", job("b")), goes_on=True))
    assert told_of(loop.run(seen_until(cluster, "uid-of-b"))) == ["b"]


def test_who_may_list_and_never_could_watch_is_told_at_once(
    cluster: Cluster, server: FakeApiServer, loop: LoopThread
) -> None:
    server.tell("WATCH", "/jobs", forbidden("watch", "jobs"))
    with pytest.raises(ApiError, match='cannot watch resource "jobs"'):
        loop.run(seen_until(cluster, "never"))
    assert server.count("WATCH") == 1


def test_an_object_of_5_mib_is_watched_as_any_other(
    cluster: Cluster, server: FakeApiServer, loop: LoopThread
) -> None:
    big = job("big")
    big["spec"]["template"]["spec"]["containers"][0]["args"] = ["x" * 5 * 2**20]
    lines = event("ADDED", big) + event("ADDED", job("b"))
    server.tell("WATCH", "/jobs", Answer(lines, goes_on=True), LISTED)
    seen = loop.run(seen_until(cluster, "uid-of-b"))
    assert told_of(seen) == ["big", "b"]
    assert server.count("WATCH") == 1


@pytest.mark.parametrize(
    "odd",
    [
        pytest.param(event("ADDED", {"metadata": {"name": "odd"}}), id="no spec"),
        pytest.param(event("ADDED", {"spec": {}}), id="no metadata"),
        pytest.param(event("ADDED", {"metadata": None, "spec": None}), id="nothing in it"),
        pytest.param(b'{"type": "ADDED"}\n', id="no object"),
        pytest.param(b'{"type": "ADDED", "object": "odd"}\n', id="no JSON object"),
    ],
)
def test_one_odd_object_costs_its_neighbours_nothing(
    cluster: Cluster,
    server: FakeApiServer,
    loop: LoopThread,
    odd: bytes,
    caplog: pytest.LogCaptureFixture,
) -> None:
    lines = odd + event("ADDED", job("b"))
    server.tell("WATCH", "/jobs", Answer(lines, goes_on=True))
    seen = loop.run(seen_until(cluster, "uid-of-b"))
    assert told_of(seen) == ["b"]
    assert server.count("WATCH") == 1
    assert caplog.text.count("is left out") == 1


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(Answer(b'{"type": "ADDED", \n' + ENDED), id="a line that is no JSON"),
        pytest.param(Answer(ENDED[:-20]), id="half a line at a clean end"),
        pytest.param(PAGE, id="the page of a gateway"),
        pytest.param(Answer(EXPIRED + ENDED, goes_on=True), id="an expired version"),
    ],
)
def test_a_watch_ends_where_what_has_changed_is_no_longer_known(
    cluster: Cluster, server: FakeApiServer, loop: LoopThread, broken: Answer
) -> None:
    server.tell("WATCH", "/jobs", broken)
    assert loop.run(seen_until(cluster, "never")) == [Opened()]


def test_a_watch_of_an_api_server_that_is_gone_for_good_is_given_up_as_a_request_is(
    cluster: Cluster, server: FakeApiServer, loop: LoopThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flowjob.cluster.transport.PATIENCE", 2)
    server.tell("WATCH", "/jobs", Answer(b"", 503))
    with pytest.raises(ClusterError) as given_up:
        loop.run(seen_until(cluster, "never"))
    assert f"to the watch of {PATH} for 2 s: HTTP 503" in str(given_up.value)


def test_expired_credentials_are_told_with_whose_they_are(
    cluster: Cluster,
    server: FakeApiServer,
    loop: LoopThread,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "flowjob")
    known = Answer(event("ADDED", job("b")), goes_on=True)
    server.tell("WATCH", "/jobs", *[UNAUTHORIZED] * 4, known)
    loop.run(seen_until(cluster, "uid-of-b"))
    told = "the credentials of the Airflow connection 'fake' are not taken: they have expired"
    assert told in caplog.text
