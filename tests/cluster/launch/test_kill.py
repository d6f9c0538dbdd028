"""A kill waits for nothing but its own delete, and says what became of the Job."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flowjob.exceptions import ClusterError, FlowRunCancelledError
from flowjob.flow_run import FlowRun
from flowjob.kubernetes_object import KubernetesObject
from flowjob.launch.execution import Execution
from tests.support.access import restricted_kubeconfig
from tests.support.cluster import Cluster
from tests.support.flow_runs import FlowRuns, connect, new_flow_run
from tests.support.reverse_proxy import ReverseProxy
from tests.support.wait import wait_for

FINALIZER = "example.com/stuck"


def later_try(flow_run: FlowRun, **changes: Any) -> FlowRun:
    """Return another flow run of the same task instance."""
    return replace(flow_run, flow_run_id=new_flow_run().flow_run_id, **{"try_number": 2, **changes})


@contextmanager
def stuck_job(flow_runs: FlowRuns, core_v1: Any, namespace: str) -> Iterator[tuple[FlowRun, str]]:
    """Run a flow whose pod does not go when it is deleted; give the flow run and the pod's name."""
    flow_run = new_flow_run()
    flow_runs.create(flow_runs.manifest("sleep 600", flow_run=flow_run))

    def pod_runs() -> Any:
        pods = core_v1.list_namespaced_pod(namespace).items
        return pods[0] if pods and pods[0].status.phase == "Running" else None

    pod = wait_for(pod_runs, "the pod to run").metadata.name
    core_v1.patch_namespaced_pod(pod, namespace, {"metadata": {"finalizers": [FINALIZER]}})
    try:
        yield flow_run, pod
    finally:
        core_v1.patch_namespaced_pod(pod, namespace, {"metadata": {"finalizers": None}})


def test_an_earlier_job_that_does_not_go_is_waited_for_so_long_and_what_holds_it_is_named(
    flow_runs: FlowRuns, core_v1: Any, batch_v1: Any, namespace: str
) -> None:
    with stuck_job(flow_runs, core_v1, namespace) as (flow_run, pod):
        cleared = later_try(flow_run, max_tries=5)
        manifest = flow_runs.manifest("true", flow_run=cleared)
        with pytest.raises(ClusterError) as raised:
            flow_runs.loop.run(Execution(flow_runs.cluster).launch(cleared, manifest, limit=3))
        assert "is not gone after 3 s" in str(raised.value)
        assert f"its pod {pod} (held by its finalizers: {FINALIZER}" in str(raised.value)
        assert raised.value.heals_by_retry
        assert len(batch_v1.list_namespaced_job(namespace).items) == 1


def test_who_waits_for_an_earlier_job_is_told_each_minute_what_holds_it(
    flow_runs: FlowRuns,
    core_v1: Any,
    namespace: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("flowjob.wait.until_gone.REMINDER", 1)
    with stuck_job(flow_runs, core_v1, namespace) as (flow_run, pod):
        cleared = later_try(flow_run, max_tries=5)
        manifest = flow_runs.manifest("true", flow_run=cleared)
        with caplog.at_level("INFO"):
            launched = flow_runs.loop.start(Execution(flow_runs.cluster).launch(cleared, manifest))
            told = f"is gone: its pod {pod} (held by its finalizers: {FINALIZER}"
            wait_for(lambda: told in caplog.text, "a word about the pod")
    # What held it is gone, so the launch goes on.
    name = launched.result(60)["metadata"]["name"]
    assert name == manifest["metadata"]["name"]


def test_a_kill_wakes_a_launch_that_waits_for_an_earlier_job(
    flow_runs: FlowRuns,
    core_v1: Any,
    batch_v1: Any,
    namespace: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with stuck_job(flow_runs, core_v1, namespace) as (flow_run, _):
        cleared = later_try(flow_run, max_tries=5)
        execution = Execution(flow_runs.cluster)
        manifest = flow_runs.manifest("true", flow_run=cleared)
        with caplog.at_level("INFO"):
            launching = flow_runs.loop.start(execution.launch(cleared, manifest))
            wait_for(lambda: "Waiting until the earlier Job" in caplog.text, "the launch to wait")
        killed = time.monotonic()
        flow_runs.loop.run(execution.kill())
        with pytest.raises(FlowRunCancelledError, match="and has no Job"):
            launching.result(5)
        assert time.monotonic() - killed < 5
        assert len(batch_v1.list_namespaced_job(namespace).items) == 1


def test_a_kill_of_a_create_without_an_answer_deletes_what_the_server_took(
    cluster: Cluster,
    namespace: str,
    batch_v1: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with ReverseProxy(cluster.kubeconfig, tmp_path) as proxy:
        connection = connect(proxy.kubeconfig, monkeypatch, "proxied")
        with FlowRuns(connection, namespace, cluster.shell_image) as runs:
            lost = proxy.hold_reply("POST", "/jobs")
            flow_run, execution = new_flow_run(), Execution(runs.cluster)
            manifest = runs.manifest("sleep 600", flow_run=flow_run)
            launching = runs.loop.start(execution.launch(flow_run, manifest))
            lost.wait_until_reached()
            assert len(batch_v1.list_namespaced_job(namespace).items) == 1
            late = proxy.hold_request("POST", "/jobs")
            lost.lose()
            late.wait_until_reached()
            killing = runs.loop.start(execution.kill())
            # It waits for the request that is on its way, and for no other.
            assert not killing.done()
            late.lose()
            killing.result(5)
            with pytest.raises(FlowRunCancelledError, match="and its Job deleted"):
                launching.result(5)

    def none_left() -> bool:
        return not batch_v1.list_namespaced_job(namespace).items

    wait_for(none_left, "the Job to be gone")


def test_a_kill_before_the_launch_creates_nothing(
    flow_runs: FlowRuns, batch_v1: Any, namespace: str
) -> None:
    flow_run, execution = new_flow_run(), Execution(flow_runs.cluster)
    flow_runs.loop.run(execution.kill())
    with pytest.raises(FlowRunCancelledError, match="and has no Job"):
        flow_runs.loop.run(execution.launch(flow_run, flow_runs.manifest("true")))
    assert batch_v1.list_namespaced_job(namespace).items == []


@pytest.mark.parametrize("order", ["kill after", "kill before"])
def test_a_kill_finds_the_job_that_a_try_resumes_with(
    flow_runs: FlowRuns, batch_v1: Any, namespace: str, order: str
) -> None:
    job = flow_runs.create(flow_runs.manifest("sleep 600"))
    execution = Execution(flow_runs.cluster)
    if order == "kill before":
        flow_runs.loop.run(execution.kill())
        with pytest.raises(FlowRunCancelledError, match="and its Job deleted"):
            flow_runs.loop.run(execution.take(job))
    else:
        flow_runs.loop.run(execution.take(job))
        flow_runs.loop.run(execution.kill())
    assert execution.end_of_kill == "the flow run was cancelled, and its Job deleted"

    def none_left() -> bool:
        return not batch_v1.list_namespaced_job(namespace).items

    wait_for(none_left, "the Job to be gone")


def test_a_job_that_may_not_be_deleted_is_told_to_go_on_with_the_right_that_is_missing(
    cluster: Cluster,
    namespace: str,
    batch_v1: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    rules = [
        {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create", "get", "list", "watch"]}
    ]
    kubeconfig = restricted_kubeconfig(cluster.kubeconfig, namespace, "no-delete", rules, tmp_path)
    connection = connect(kubeconfig, monkeypatch, "no_delete")
    with FlowRuns(connection, namespace, cluster.shell_image) as runs:
        flow_run, execution = new_flow_run(), Execution(runs.cluster)
        manifest: KubernetesObject = runs.manifest("sleep 600", flow_run=flow_run)
        runs.loop.run(execution.launch(flow_run, manifest))
        runs.loop.run(execution.kill())
    with pytest.raises(FlowRunCancelledError) as raised:
        execution.raise_if_killed()
    assert "but its Job goes on" in str(raised.value)
    assert 'cannot delete resource "jobs"' in str(raised.value)
    assert "The Job of the flow run goes on" in caplog.text
    (left,) = batch_v1.list_namespaced_job(namespace).items
    assert left.metadata.deletion_timestamp is None


def test_a_run_that_was_deleted_and_made_again_ends_the_job_of_the_first_one(
    flow_runs: FlowRuns, batch_v1: Any, namespace: str
) -> None:
    first = new_flow_run()
    flow_runs.create(flow_runs.manifest("sleep 600", flow_run=first))
    again = later_try(first, try_number=1, dag_run_start="later")
    manifest = flow_runs.manifest("sleep 600", flow_run=again)
    flow_runs.loop.run(Execution(flow_runs.cluster).launch(again, manifest, limit=30))
    (left,) = batch_v1.list_namespaced_job(namespace).items
    assert left.metadata.name == manifest["metadata"]["name"]


def test_a_copy_of_a_job_is_neither_adopted_nor_deleted(
    flow_runs: FlowRuns, batch_v1: Any, namespace: str
) -> None:
    flow_run = new_flow_run()
    healthy = flow_runs.manifest("sleep 600", flow_run=flow_run)
    copied = flow_runs.manifest("sleep 600", flow_run=flow_run)
    copied["metadata"]["name"] = "copied-to-debug-it"
    flow_runs.create(healthy)
    flow_runs.create(copied)
    again = later_try(flow_run)
    adopted = flow_runs.loop.run(
        Execution(flow_runs.cluster).launch(again, flow_runs.manifest("true", flow_run=again))
    )
    assert adopted["metadata"]["name"] == healthy["metadata"]["name"]
    jobs = batch_v1.list_namespaced_job(namespace).items
    assert {job.metadata.name: job.metadata.deletion_timestamp for job in jobs} == {
        healthy["metadata"]["name"]: None,
        "copied-to-debug-it": None,
    }


def test_a_job_of_an_airflow_that_has_no_name_is_left_alone_and_told_of(
    flow_runs: FlowRuns, batch_v1: Any, namespace: str, caplog: pytest.LogCaptureFixture
) -> None:
    foreign = replace(new_flow_run(), airflow="", dag_run_start="2026-01-01T00:00:00.000001+00:00")
    flow_runs.create(flow_runs.manifest("sleep 600", flow_run=foreign))
    own = later_try(foreign, dag_run_start="2026-01-01T00:00:00.000002+00:00")
    manifest = flow_runs.manifest("sleep 600", flow_run=own)
    flow_runs.loop.run(Execution(flow_runs.cluster).launch(own, manifest))
    assert "or one of another Airflow: it is left alone" in caplog.text
    jobs = batch_v1.list_namespaced_job(namespace).items
    assert [job.metadata.deletion_timestamp for job in jobs] == [None, None]
