"""Flow runs of a deployment of a real Prefect 3 server: created, read and ended through its API."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from flowjob.exceptions import RemoteRefusedError
from flowjob.flows import PrefectDeployment
from flowjob.flows.base import FlowConnection
from flowjob.prefect.runs import remote_runs
from flowjob.remote_run import CANCELLED, CRASHED, REST, RemoteRun, RemoteRuns, RemoteState
from tests.support.prefect_server import PrefectServer

FLOWS = str(Path(__file__).parent / "flows")


@pytest.fixture
def runs(prefect: PrefectServer) -> RemoteRuns:
    return remote_runs(REST, "prefect_default", FlowConnection(prefect.api_url))


@pytest.fixture(scope="module")
def deployment(prefect: PrefectServer) -> str:
    return prefect.deploy("sales.py:sales", FLOWS)


def run(coroutine: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(coroutine)


def begin(runs: RemoteRuns, deployment: str, **parameters: Any) -> RemoteRun:
    request = PrefectDeployment(deployment, tags=["nightly"]).remote_run(str(uuid4()), parameters)
    begun: RemoteRun = run(runs.begin(request, 30))
    return begun


def test_a_flow_run_is_created_once_with_parameters_tags_and_our_id(
    prefect: PrefectServer, runs: RemoteRuns, deployment: str
) -> None:
    request = PrefectDeployment(deployment, tags=["nightly"]).remote_run("our-id", {"how": "ends"})
    first, again = (run(runs.begin(request, 30)) for _ in range(2))
    assert first == again
    flow_run = prefect.flow_run(first.run_id)
    assert flow_run["idempotency_key"] == "our-id"
    assert flow_run["parameters"] == {"how": "ends"}
    assert set(flow_run["tags"]) == {"nightly", "deployed"}
    assert first.facts["flow_run_name"] == flow_run["name"]
    assert first.facts["deployment_id"] == flow_run["deployment_id"]
    assert first.url == f"{prefect.api_url.removesuffix('/api')}/runs/flow-run/{first.run_id}"


def test_no_worker_of_prefects_takes_the_flow_run(prefect: PrefectServer, runs: RemoteRuns) -> None:
    pool = f"pool-{uuid4().hex[:8]}"
    prefect.request("POST", "/work_pools/", {"name": pool, "type": "process"})
    deployment = prefect.deploy("sales.py:sales", FLOWS, work_pool_name=pool)
    scheduled = prefect.request(
        "POST",
        f"/deployments/{prefect.deployment(deployment)['id']}/create_flow_run",
        {},
    )["id"]
    begin(runs, deployment)
    found = prefect.request("POST", f"/work_pools/{pool}/get_scheduled_flow_runs", {})
    assert [each["flow_run"]["id"] for each in found] == [scheduled]


def test_what_prefect_refuses_is_told_and_no_retry_heals_it(
    prefect: PrefectServer, runs: RemoteRuns
) -> None:
    with pytest.raises(RemoteRefusedError, match="no deployment 'sales/none': create it") as raised:
        begin(runs, "sales/none")
    assert not raised.value.heals_by_retry
    schema = {"type": "object", "properties": {"region": {"type": "string"}}}
    checked = prefect.deploy("sales.py:sales", FLOWS, parameter_openapi_schema=schema)
    with pytest.raises(RemoteRefusedError, match="Validation failed for field 'region'"):
        begin(runs, checked, region=3)


def test_a_flow_run_that_was_deleted_in_prefect_is_told(runs: RemoteRuns) -> None:
    with pytest.raises(RemoteRefusedError, match="has no flow run"):
        run(runs.state(str(uuid4()), 30))


@pytest.mark.parametrize("kind", [CRASHED, CANCELLED])
def test_a_flow_run_that_cannot_tell_its_end_is_ended_with_the_reason(
    prefect: PrefectServer, runs: RemoteRuns, deployment: str, kind: str
) -> None:
    run_id = begin(runs, deployment).run_id
    prefect.set_state(run_id, "RUNNING")
    expected = RemoteState(kind, kind.title(), "the node went away")
    assert run(runs.end(run_id, kind, "the node went away", 30)) == expected
    assert run(runs.state(run_id, 30)) == expected
    assert run(runs.end(run_id, kind, "once more", 30)) == expected


def test_a_flow_run_that_is_killed_and_takes_itself_for_crashed_is_cancelled(
    prefect: PrefectServer, runs: RemoteRuns, deployment: str
) -> None:
    run_id = begin(runs, deployment).run_id
    prefect.set_state(run_id, "CRASHED")
    assert run(runs.end(run_id, CANCELLED, "killed", 30)).kind == CANCELLED
    # What the flow container still reports has no say then.
    assert prefect.set_state(run_id, "CRASHED")["status"] == "ABORT"


@pytest.mark.parametrize("state", ["COMPLETED", "FAILED"])
def test_how_a_flow_run_has_ended_by_itself_stays(
    prefect: PrefectServer, runs: RemoteRuns, deployment: str, state: str
) -> None:
    run_id = begin(runs, deployment).run_id
    prefect.set_state(run_id, state)
    for kind in (CRASHED, CANCELLED):
        assert run(runs.end(run_id, kind, "too late", 30)).kind == state.lower()
    assert prefect.flow_run(run_id)["state_type"] == state
