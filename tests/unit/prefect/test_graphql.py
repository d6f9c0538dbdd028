"""Flow runs of Prefect 0.x and 1.x, against a GraphQL API of the test's own."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from typing import Any
from uuid import uuid4

import pytest
from aiohttp import web

from flowjob.exceptions import RemoteError, RemoteRefusedError, RequestStoppedError
from flowjob.flows.base import FlowConnection
from flowjob.prefect.runs import remote_runs
from flowjob.remote_run import CANCELLED, CRASHED, GRAPHQL, CloudRunRequest, RemoteRuns, RemoteState
from tests.support.fake_prefect import KEY, FakePrefect

PARAMETERS = {"region": "eu"}


@pytest.fixture
def prefect() -> Iterator[FakePrefect]:
    with FakePrefect() as running:
        yield running


@pytest.fixture
def runs(prefect: FakePrefect) -> RemoteRuns:
    return remote_runs(GRAPHQL, "prefect_default", FlowConnection(prefect.url, KEY))


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(coroutine)


def wanted(**how: str) -> CloudRunRequest:
    return CloudRunRequest("prefect_default", "our-id", PARAMETERS, **how)


def test_a_flow_run_is_created_once_with_our_parameters_and_no_agent_takes_it(
    prefect: FakePrefect, runs: RemoteRuns
) -> None:
    flow_id = prefect.register("sales", "nightly")
    begun = [run(runs.begin(wanted(flow_id=flow_id), 5)) for _ in range(2)]
    (flow_run,) = prefect.flow_runs.values()
    assert [each.run_id for each in begun] == [flow_run.id] * 2
    assert flow_run.state == "Submitted"
    assert flow_run.wanted == {
        "flow_id": flow_id,
        "parameters": PARAMETERS,
        "labels": ["flowjob"],
        "idempotency_key": "our-id",
    }


def test_a_flow_is_found_by_its_project_and_name_in_its_newest_version(
    prefect: FakePrefect, runs: RemoteRuns
) -> None:
    for name in ("nightly", "nightly", "hourly"):
        prefect.register("sales", name)
    newest = [*prefect._flows][1]
    run(runs.begin(wanted(project_name="sales", flow_name="nightly"), 5))
    (flow_run,) = prefect.flow_runs.values()
    assert flow_run.wanted["flow_id"] == newest


def test_a_flow_run_that_exists_is_taken_as_it_is(prefect: FakePrefect, runs: RemoteRuns) -> None:
    run_id = prefect.create(prefect.register("sales", "nightly"))
    prefect.set_state(run_id, "Running")
    assert run(runs.begin(wanted(flow_run_id=run_id), 5)).run_id == run_id
    assert prefect.inputs == []


@pytest.mark.parametrize(
    ("how", "told"),
    [
        ({"flow_id": "no-flow"}, "Flow does not exist"),
        (
            {"project_name": "sales", "flow_name": "no"},
            "no flow 'no' in the project 'sales': register it",
        ),
        ({"flow_run_id": str(uuid4())}, "has no flow run"),
        ({"flow_run_id": "1"}, "invalid input syntax"),
    ],
)
def test_what_prefect_does_not_know_is_told_and_no_retry_heals_it(
    runs: RemoteRuns, how: dict[str, str], told: str
) -> None:
    with pytest.raises(RemoteRefusedError, match=told) as raised:
        run(runs.begin(wanted(**how), 5))
    assert not raised.value.heals_by_retry


@pytest.mark.parametrize("status", [200, 401, 403])
def test_a_key_that_is_not_taken_is_told_with_its_connection_and_not_repeated(
    prefect: FakePrefect, status: int
) -> None:
    if status != 200:
        prefect.failures.append(web.Response(status=status))
    runs = remote_runs(GRAPHQL, "prefect_sales", FlowConnection(prefect.url, "wrong-key"))
    with pytest.raises(RemoteRefusedError, match="'prefect_sales'") as raised:
        run(runs.state(str(uuid4()), 5))
    assert "wrong-key" not in str(raised.value)


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("Success", "completed"),
        ("Cached", "completed"),
        ("Failed", "failed"),
        ("TimedOut", "failed"),
        ("Cancelled", "cancelled"),
        ("Cancelling", "cancelling"),
        ("Paused", "paused"),
        ("Submitted", "active"),
        ("Running", "active"),
        ("Retrying", "active"),
    ],
)
def test_prefects_states_are_understood(
    prefect: FakePrefect, runs: RemoteRuns, state: str, kind: str
) -> None:
    run_id = prefect.create("flow")
    prefect.set_state(run_id, state, "says why")
    assert run(runs.state(run_id, 5)) == RemoteState(kind, state, "says why")


@pytest.mark.parametrize(("kind", "state"), [(CRASHED, "Failed"), (CANCELLED, "Cancelled")])
def test_a_flow_run_that_cannot_tell_its_end_is_ended_with_the_reason(
    prefect: FakePrefect, runs: RemoteRuns, kind: str, state: str
) -> None:
    run_id = prefect.create("flow")
    prefect.set_state(run_id, "Running")
    told = run(runs.end(run_id, kind, "the node went away", 5))
    assert (told.name, told.message) == (state, "the node went away")
    assert prefect.flow_runs[run_id].state == state


def test_how_a_flow_run_has_ended_by_itself_stays(prefect: FakePrefect, runs: RemoteRuns) -> None:
    run_id = prefect.create("flow")
    prefect.set_state(run_id, "Success", "all went well")
    for kind in (CRASHED, CANCELLED):
        assert run(runs.end(run_id, kind, "too late", 5)).name == "Success"


@pytest.mark.parametrize(
    "passing",
    [
        pytest.param(lambda: web.Response(status=503), id="no server behind a gateway"),
        pytest.param(lambda: web.Response(status=429, headers={"Retry-After": "0"}), id="a limit"),
        pytest.param(lambda: web.Response(text="<html>back soon"), id="the page of a gateway"),
    ],
)
def test_what_passes_costs_nothing_but_time(
    prefect: FakePrefect, runs: RemoteRuns, passing: Any
) -> None:
    run_id = prefect.create("flow")
    prefect.failures += [passing(), passing()]
    assert run(runs.state(run_id, 30)).name == "Scheduled"


def test_a_prefect_that_stays_away_is_named_and_waited_for_no_longer_than_allowed(
    prefect: FakePrefect,
) -> None:
    connection = FlowConnection("http://127.0.0.1:9", KEY)
    with pytest.raises(RemoteError, match=r"no answer from .*127\.0\.0\.1:9/graphql for 0\.5 s"):
        run(remote_runs(GRAPHQL, "prefect_default", connection).state("run", 0.5))


def test_a_kill_waits_for_no_prefect_that_is_away() -> None:
    runs = remote_runs(GRAPHQL, "prefect_default", FlowConnection("http://127.0.0.1:9"))

    async def stop_soon() -> None:
        stop = asyncio.Event()
        asyncio.get_running_loop().call_later(0.5, stop.set)
        await runs.begin(wanted(flow_id="flow"), 600, stop)

    with pytest.raises(RequestStoppedError):
        run(asyncio.wait_for(stop_soon(), 30))


def test_a_password_in_the_address_is_not_told() -> None:
    connection = FlowConnection("http://admin:pa55word@127.0.0.1:9")
    with pytest.raises(RemoteError, match=r"http://127\.0\.0\.1:9/graphql") as raised:
        run(remote_runs(GRAPHQL, "prefect_default", connection).state("run", 0.1))
    assert "pa55word" not in str(raised.value)


@pytest.mark.parametrize("address", ["ftp://prefect", "http://"])
def test_an_address_that_is_none_is_told_at_once(address: str) -> None:
    runs = remote_runs(GRAPHQL, "prefect_sales", FlowConnection(address))
    with pytest.raises(RemoteError, match=r"cannot be asked: .* connection 'prefect_sales'"):
        run(runs.state("run", 60))
