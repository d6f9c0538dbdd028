"""What a request survives on its way, and that none waits for another kind."""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import AsyncExitStack

import pytest

from flowjob.cluster.api_server import Cluster
from flowjob.cluster.secrets import Secrets
from flowjob.exceptions import ClusterError, JobRefusedError
from flowjob.worker.loop_thread import LoopThread
from tests.support.fake_api_server import (
    PAGE,
    UNAUTHORIZED,
    Answer,
    FakeApiServer,
    forbidden,
    job,
    job_list,
    status,
)

FULL = 'jobs.batch "sales" is forbidden: exceeded quota: few, requested: count/jobs.batch=1'


@pytest.mark.parametrize(
    "passing",
    [
        pytest.param(PAGE, id="the page of a gateway"),
        pytest.param(Answer(b'{"kind": "Job", "metad'), id="half an answer"),
        pytest.param(Answer(b'"ok"'), id="JSON of somebody else"),
        pytest.param(Answer(b"", 502), id="a bad gateway"),
        pytest.param(Answer(b"\xff\xfe", 529), id="an overload in no known letters"),
        pytest.param(UNAUTHORIZED, id="an authenticator that only starts"),
    ],
)
def test_what_passes_costs_a_request_nothing_but_time(
    cluster: Cluster, server: FakeApiServer, loop: LoopThread, passing: Answer
) -> None:
    server.tell("GET", "/jobs/sales", *[passing] * 4, Answer(job("sales")))
    assert loop.run(cluster.find_job("flows", "sales")) == job("sales")


def test_a_job_is_created_although_the_api_server_only_learns_its_roles(
    cluster: Cluster,
    server: FakeApiServer,
    loop: LoopThread,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    server.tell("POST", "/jobs", *[forbidden("create", "jobs")] * 4, Answer(job("sales")))
    assert loop.run(cluster.create_job(job("sales"))) == job("sales")
    assert caplog.text.count('cannot create resource "jobs"') == 1


def test_a_refusal_that_is_no_matter_of_rights_is_told_at_once(
    cluster: Cluster, server: FakeApiServer, loop: LoopThread
) -> None:
    told = 'admission webhook "policy" denied the request: no'
    server.tell("POST", "/jobs", status(403, "Forbidden", told))
    with pytest.raises(JobRefusedError, match="denied the request"):
        loop.run(cluster.create_job(job("sales")))
    assert server.count("POST") == 1


def test_a_person_who_checks_a_spec_is_told_of_a_missing_right_at_once(
    cluster: Cluster, server: FakeApiServer, loop: LoopThread
) -> None:
    server.tell("POST", "/jobs", forbidden("create", "jobs"))
    with pytest.raises(JobRefusedError, match="cannot create"):
        loop.run(cluster.check_job(job("sales")))
    assert server.count("POST") == 1


def test_a_right_to_delete_that_is_missing_is_told_at_once_with_what_grants_it(
    cluster: Cluster, server: FakeApiServer, loop: LoopThread
) -> None:
    server.tell("DELETE", "/jobs/sales", forbidden("delete", "jobs"))
    with pytest.raises(ClusterError) as refused:
        loop.run(cluster.delete_job(job("sales")))
    assert server.count("DELETE") == 1
    assert 'cannot delete resource "jobs"' in str(refused.value)
    assert "by an RBAC Role" in str(refused.value)


def test_a_list_that_the_api_server_forgot_is_begun_anew(
    cluster: Cluster, server: FakeApiServer, loop: LoopThread
) -> None:
    expired = status(410, "Expired", "The provided continue parameter is too old")
    server.tell(
        "GET",
        "/jobs",
        job_list(job("old"), goes_on="page-2"),
        expired,
        job_list(job("one"), goes_on="page-2"),
        job_list(job("two")),
    )
    jobs = loop.run(cluster.list_jobs("flows", "identifier=x"))
    assert [each["metadata"]["name"] for each in jobs] == ["one", "two"]


def test_a_list_of_secrets_that_the_api_server_forgot_is_begun_anew(
    cluster: Cluster, server: FakeApiServer, loop: LoopThread
) -> None:
    expired = status(410, "Expired", "The provided continue parameter is too old")
    first = job_list(job("one"), goes_on="page-2")
    server.tell("GET", "/secrets", first, expired, first, job_list(job("two")))
    secrets = loop.run(Secrets(cluster).without_owner("flows"))
    assert [each["metadata"]["name"] for each in secrets or ()] == ["one", "two"]


def test_an_api_server_that_is_away_for_good_is_given_up_and_named(
    cluster: Cluster, server: FakeApiServer, loop: LoopThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flowjob.cluster.transport.PATIENCE", 2)
    server.tell("GET", "/jobs/sales", PAGE)
    with pytest.raises(ClusterError) as given_up:
        loop.run(cluster.find_job("flows", "sales"))
    host = f"http://127.0.0.1:{server.port}"
    told = f"no usable answer from the API server {host} for 2 s: {len(PAGE.content)} bytes "
    assert str(given_up.value) == f"{told}that are no JSON"


def test_a_kill_does_not_wait_for_logs_however_many_are_followed(
    cluster: Cluster, server: FakeApiServer, loop: LoopThread
) -> None:
    server.tell("GET", "/log", Answer(b"2026-01-01T00:00:00Z line\n", goes_on=True))
    server.tell("GET", "/jobs", Answer(b"", goes_on=True))
    server.tell("DELETE", "/jobs/sales", Answer({"kind": "Status", "status": "Success"}))

    async def follow(number: int) -> None:
        path = f"/api/v1/namespaces/flows/pods/{number}/log"
        async with cluster.stream_log(path, {}, follow=True, silence=60) as log:
            await log.content.read()

    async def kill() -> None:
        following = [asyncio.create_task(follow(number)) for number in range(150)]
        await asyncio.to_thread(server.wait_for, 100, "GET", "/log")
        async with asyncio.timeout(10):
            assert await cluster.delete_job(job("sales"))
        # The last lines of what failed do not wait for those that are followed, either.
        path = "/api/v1/namespaces/flows/pods/failed/log"
        async with asyncio.timeout(10), cluster.stream_log(path, {}, follow=False, silence=60):
            pass
        assert server.count("GET", "/log") == 101
        for task in following:
            task.cancel()
        await asyncio.gather(*following, return_exceptions=True)

    loop.run(kill())


def test_a_watch_does_not_wait_for_requests_and_a_kill_goes_before_those_that_wait(
    cluster: Cluster, server: FakeApiServer, loop: LoopThread
) -> None:
    server.tell("GET", "/slow", Answer(b"", goes_on=True))
    server.tell("WATCH", "/jobs", Answer(b"", goes_on=True))
    server.tell("DELETE", "/jobs/sales", Answer({"kind": "Status", "status": "Success"}))

    async def ask() -> None:
        asking = [asyncio.create_task(cluster.request("GET", "/slow")) for _ in range(150)]
        await asyncio.to_thread(server.wait_for, 100, "GET", "/slow")
        query = {"watch": "true"}
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(asyncio.timeout(10))
            await stack.enter_async_context(cluster.open("GET", "/jobs", query, silence=60))
        killing = asyncio.create_task(cluster.delete_job(job("sales")))
        await asyncio.sleep(0)
        asking[0].cancel()
        async with asyncio.timeout(10):
            assert await killing
        # The place that came free was the kill's first, and then one of the others'.
        await asyncio.to_thread(server.wait_for, 101, "GET", "/slow")
        verbs = [each.verb for each in server.asked if each.path.endswith(("/slow", "/jobs/sales"))]
        assert verbs == ["GET"] * 100 + ["DELETE", "GET"]
        for task in asking:
            task.cancel()
        await asyncio.gather(*asking, return_exceptions=True)

    loop.run(ask())


def test_a_full_quota_is_waited_for_and_said_once(
    cluster: Cluster,
    server: FakeApiServer,
    loop: LoopThread,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    full = status(403, "Forbidden", FULL)
    server.tell("POST", "/jobs", *[full] * 3, Answer(job("sales")))
    assert loop.run(cluster.create_job(job("sales"), limit=60)) == job("sales")
    assert caplog.text.count("There is no room for the Job 'sales' in namespace 'flows'") == 1


def test_a_quota_that_stays_full_fails_with_retries_and_says_that_kept_jobs_count(
    cluster: Cluster, server: FakeApiServer, loop: LoopThread
) -> None:
    server.tell("POST", "/jobs", status(403, "Forbidden", FULL))
    began = time.monotonic()
    with pytest.raises(ClusterError) as refused:
        loop.run(cluster.create_job(job("sales"), limit=2))
    assert 2 <= time.monotonic() - began < 20
    assert refused.value.heals_by_retry
    told = str(refused.value)
    assert told.startswith("no room for the Job 'sales' in namespace 'flows' for 2 s: ")
    assert "exceeded quota: few" in told
    assert "on_finish" in told
