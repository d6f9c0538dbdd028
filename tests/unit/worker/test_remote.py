"""A try and the run that Prefect knows of its flow run, with a GraphQL API of the test's own."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
from collections.abc import Iterator

import pytest

from flowjob.exceptions import ClusterError, FlowRunCancelledError
from flowjob.flow_run import REMOTE_RUN, annotate
from flowjob.flows import PrefectCloudFlow
from flowjob.flows.base import FlowConnection
from flowjob.kubernetes_object import KubernetesObject
from flowjob.launch.manifest import Manifests
from flowjob.remote_run import GRAPHQL, REST, RemoteRun
from flowjob.status.outcome import Outcome
from flowjob.worker import remote as module
from flowjob.worker.remote import OwnRemoteRun, cancel_remote_run
from tests.support.fake_prefect import KEY, FakePrefect

LOG = logging.getLogger("task")
DONE = Outcome("succeeded", exit_code=0)
KILLED = Outcome("failed", reason="OOMKilled", message="out of memory", exit_code=137)
AWAY = FlowConnection("http://127.0.0.1:9")


@pytest.fixture
def prefect() -> Iterator[FakePrefect]:
    with FakePrefect() as running:
        yield running


def own(connection: FlowConnection, flow_id: str = "flow") -> OwnRemoteRun:
    request = PrefectCloudFlow(flow_id=flow_id).remote_run("our-id", {})
    assert request is not None
    remote = OwnRemoteRun(request, connection, LOG)
    remote.make = lambda run: Manifests(job_of(run), None)
    return remote


def job_of(run: RemoteRun) -> KubernetesObject:
    job: KubernetesObject = {"metadata": {"name": "sales", "annotations": {}}}
    annotate(job, REMOTE_RUN, run.to_text())
    return job


@pytest.fixture
def begun(prefect: FakePrefect) -> OwnRemoteRun:
    """A flow run that Prefect knows, and that runs."""
    remote = own(connection_to(prefect), prefect.register("sales", "nightly"))
    asyncio.run(remote.begin(asyncio.Event()))
    prefect.set_state(run_id_of(remote), "Running")
    return remote


def connection_to(prefect: FakePrefect) -> FlowConnection:
    return FlowConnection(prefect.url, KEY)


def run_id_of(remote: OwnRemoteRun) -> str:
    assert remote.run is not None
    return remote.run.run_id


def test_a_later_try_and_a_resumed_one_go_on_with_the_run_of_the_job(begun: OwnRemoteRun) -> None:
    assert begun.run is not None
    adopting, resumed, changed = (own(AWAY) for _ in range(3))
    adopting.take(job_of(begun.run))
    resumed.take(None, begun.run.to_dict)
    changed.take(job_of(RemoteRun(REST, "prefect_default", "run")))
    assert adopting.run == resumed.run == begun.run
    assert changed.run is None


def test_a_job_that_dies_is_told_to_prefect_with_our_diagnosis(
    prefect: FakePrefect, begun: OwnRemoteRun
) -> None:
    assert asyncio.run(begun.agree(KILLED)) == KILLED
    flow_run = prefect.flow_runs[run_id_of(begun)]
    assert (flow_run.state, flow_run.message) == ("Failed", "out of memory")
    assert begun.state is not None
    assert begun.state.name == "Failed"


def test_a_flow_that_reports_its_end_is_left_as_it_is(
    prefect: FakePrefect, begun: OwnRemoteRun
) -> None:
    prefect.set_state(run_id_of(begun), "Success", "All reference tasks succeeded.")
    sent = len(prefect.inputs)
    assert asyncio.run(begun.agree(DONE)) == DONE
    assert len(prefect.inputs) == sent


def test_a_prefect_that_is_away_hides_no_failure_and_is_no_success(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("PATIENCE", "REMOTE_REASON"):
        monkeypatch.setattr(module, name, 0.1)
    remote = own(AWAY)
    remote.take(job_of(RemoteRun(GRAPHQL, "prefect_default", "run")))
    assert asyncio.run(remote.agree(KILLED)) == KILLED
    outcome = asyncio.run(remote.agree(DONE))
    assert (outcome.status, outcome.reason) == ("failed", "NotReported")
    assert "no answer from Prefect's API" in str(outcome.message)


def test_a_kill_cancels_the_run_in_prefect(prefect: FakePrefect, begun: OwnRemoteRun) -> None:
    asyncio.run(begun.end(None))
    assert prefect.flow_runs[run_id_of(begun)].state == "Cancelled"
    assert begun.state is not None
    assert begun.state.name == "Cancelled"


def test_a_kill_waits_no_longer_than_it_may_for_a_prefect_that_hangs(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        remote = own(FlowConnection(f"http://127.0.0.1:{hanging.getsockname()[1]}"))
        remote.take(job_of(RemoteRun(GRAPHQL, "prefect_default", "run")))
        begun = time.monotonic()
        asyncio.run(remote.end(None))
    assert time.monotonic() - begun < 4
    assert "The flow run goes on in Prefect: its API gave no answer in 2 s" in caplog.text


def test_a_job_of_an_earlier_try_that_goes_takes_its_own_run_with_it(
    prefect: FakePrefect, begun: OwnRemoteRun
) -> None:
    earlier = prefect.create("flow")
    asyncio.run(begun.end(job_of(RemoteRun(GRAPHQL, "prefect_default", earlier))))
    assert prefect.flow_runs[earlier].state == "Cancelled"
    assert prefect.flow_runs[run_id_of(begun)].state == "Running"


def test_a_run_that_gets_no_job_is_told_to_prefect(
    prefect: FakePrefect, begun: OwnRemoteRun
) -> None:
    asyncio.run(begun.crash(FlowRunCancelledError("killed")))
    assert prefect.flow_runs[run_id_of(begun)].state == "Running"
    asyncio.run(begun.crash(ClusterError("the quota stays full")))
    flow_run = prefect.flow_runs[run_id_of(begun)]
    assert (flow_run.state, flow_run.message) == ("Failed", "the quota stays full")


def test_a_triggerer_or_a_sweep_cancels_by_what_the_job_says(
    prefect: FakePrefect, begun: OwnRemoteRun, caplog: pytest.LogCaptureFixture
) -> None:
    assert begun.run is not None
    job = job_of(begun.run)

    def gone(conn_id: str) -> FlowConnection:
        raise LookupError(conn_id)

    asyncio.run(cancel_remote_run(job, gone, LOG))
    assert "The flow run of the Job sales goes on in Prefect: prefect_default" in caplog.text
    asyncio.run(cancel_remote_run(job, lambda conn_id: connection_to(prefect), LOG))
    assert prefect.flow_runs[run_id_of(begun)].state == "Cancelled"
    asyncio.run(cancel_remote_run({"metadata": {}}, gone, LOG))
