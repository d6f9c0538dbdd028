"""What a real Prefect 3 cannot be made to answer; the rest is in tests/prefect."""

from __future__ import annotations

import asyncio

import pytest

from flowjob.exceptions import RemoteError, RemoteRefusedError
from flowjob.flows import PrefectDeployment
from flowjob.flows.base import FlowConnection
from flowjob.flows.prefect_deployment import api_address
from flowjob.prefect.rest import flow_run_url
from flowjob.prefect.runs import remote_runs
from flowjob.remote_run import CANCELLING, REST, RemoteRuns, RemoteState
from tests.support.fake_api_server import PAGE, Answer, FakeApiServer


def runs_of(server: FakeApiServer) -> RemoteRuns:
    connection = FlowConnection(f"http://127.0.0.1:{server.port}", "key-9c1a")
    return remote_runs(REST, "prefect_sales", connection)


@pytest.mark.parametrize("status", [401, 403])
def test_a_key_that_is_not_taken_is_told_with_its_connection_and_not_repeated(
    server: FakeApiServer, status: int
) -> None:
    server.tell("GET", "/api/flow_runs/run", Answer({"detail": "Unauthorized"}, status))
    with pytest.raises(RemoteRefusedError, match="connection 'prefect_sales'") as raised:
        asyncio.run(runs_of(server).state("run", 5))
    assert "key-9c1a" not in str(raised.value)
    assert server.asked[0].headers["Authorization"] == "Bearer key-9c1a"


@pytest.mark.parametrize("key", ["key-9c1a\nX", "key-9c1aé"])
def test_a_key_that_cannot_be_sent_is_not_repeated_and_no_retry_heals_it(
    server: FakeApiServer, key: str
) -> None:
    connection = FlowConnection(f"http://127.0.0.1:{server.port}", key)
    with pytest.raises(RemoteRefusedError, match="has a character that no key has") as raised:
        asyncio.run(remote_runs(REST, "prefect_sales", connection).state("run", 5))
    assert "key-9c1a" not in str(raised.value)


@pytest.mark.parametrize("passing", [PAGE, Answer(b"", 502), Answer(b"", 200, breaks=True)])
def test_what_passes_costs_nothing_but_time(server: FakeApiServer, passing: Answer) -> None:
    cancelling = Answer({"state": {"type": "CANCELLING", "name": "Cancelling", "message": None}})
    server.tell("GET", "/api/flow_runs/run", passing, passing, cancelling)
    state = asyncio.run(runs_of(server).state("run", 30))
    assert state == RemoteState(CANCELLING, "Cancelling")


def test_an_address_where_something_else_answers_is_told(server: FakeApiServer) -> None:
    server.tell("GET", "/api/flow_runs/run", Answer(b"<html>", 405))
    with pytest.raises(RemoteRefusedError, match="HTTP 405"):
        asyncio.run(runs_of(server).state("run", 5))
    server.tell("GET", "/api/flow_runs/run", Answer({"kind": "Job"}))
    with pytest.raises(RemoteError, match="without a state"):
        asyncio.run(runs_of(server).state("run", 5))
    request = PrefectDeployment("sales/EU").remote_run("our-id", {})
    for answer in (b'{"kind": "Job"}', b"[]"):
        server.tell("GET", "/api/deployments/name/sales/EU", Answer(answer))
        with pytest.raises(RemoteError, match="is not the API of Prefect 3: see the address"):
            asyncio.run(runs_of(server).begin(request, 5))


@pytest.mark.parametrize(
    ("given", "address", "page"),
    [
        ("http://prefect:4200", "http://prefect:4200/api", "http://prefect:4200"),
        ("http://prefect:4200/api/", "http://prefect:4200/api", "http://prefect:4200"),
        (
            "https://api.prefect.cloud/api/accounts/a-1/workspaces/w-2",
            "https://api.prefect.cloud/api/accounts/a-1/workspaces/w-2",
            "https://app.prefect.cloud/account/a-1/workspace/w-2",
        ),
    ],
)
def test_the_api_and_the_page_of_a_flow_run_are_found_by_one_address(
    given: str, address: str, page: str
) -> None:
    assert api_address(given) == address
    assert flow_run_url(api_address(given), "run") == f"{page}/runs/flow-run/run"
