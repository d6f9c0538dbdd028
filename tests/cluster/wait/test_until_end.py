"""Waiting for a flow run: to its real end, by a watch, whatever happens to the API server."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.audit import AuditLog
from tests.support.cluster import Cluster
from tests.support.flow_runs import SPEC, FlowRuns, connect
from tests.support.node.node import Node
from tests.support.proxy import FaultProxy
from tests.support.wait import wait_for


def test_a_failed_flow_tells_exit_code_and_container(flow_runs: FlowRuns) -> None:
    outcome = flow_runs.run("exit 3")
    assert (outcome.status, outcome.reason, outcome.exit_code) == ("failed", "Error", 3)
    assert outcome.message == "ended with exit code 3"
    assert outcome.container == "flow-container"
    assert (outcome.pod or "").startswith("test-")
    assert outcome.started_at
    assert outcome.finished_at


def test_a_job_that_somebody_deletes_is_told_from_one_that_ended(
    flow_runs: FlowRuns, batch_v1: Any, namespace: str
) -> None:
    job = flow_runs.create(flow_runs.manifest("echo up; sleep 60"))

    def delete(line: str) -> None:
        batch_v1.delete_namespaced_job(
            job["metadata"]["name"], namespace, propagation_policy="Background"
        )

    outcome = flow_runs.wait(job, delete)
    assert (outcome.status, outcome.reason) == ("failed", "JobDeleted")


def test_a_flow_run_costs_a_handful_of_requests_however_long_it_takes(
    flow_runs: FlowRuns, audit_log: AuditLog, namespace: str
) -> None:
    own: dict[str, Any] = {"namespace": namespace, "user_agent": "flowjob/"}
    for script in ("true", "sleep 10"):
        mark = audit_log.position()
        assert flow_runs.run(script).status == "succeeded"
        # Create, watch of the Job and of its pods, the log, and what is left of it at the end. The
        # pods are read where their watch came after the Job's.
        assert audit_log.count(since=mark, **own) <= 6
        assert audit_log.count(since=mark, verb="list", resource="jobs", **own) == 0


def test_a_flow_run_that_ends_within_its_limit_has_its_whole_log(flow_runs: FlowRuns) -> None:
    job = flow_runs.create(flow_runs.manifest("echo begin; sleep 1; echo end; exit 3"))
    assert flow_runs.wait(job, limit=120).exit_code == 3
    assert flow_runs.lines == ["begin", "end"]


def test_a_flow_run_that_goes_on_beyond_its_limit_leaves_its_log_to_who_goes_on(
    flow_runs: FlowRuns, core_v1: Any, namespace: str, caplog: pytest.LogCaptureFixture
) -> None:
    job = flow_runs.create(flow_runs.manifest("echo begin; sleep 6; echo end"))

    def is_running() -> bool:
        return any(
            p.status.phase == "Running" for p in core_v1.list_namespaced_pod(namespace).items
        )

    wait_for(is_running, "the flow to run")
    began = time.monotonic()
    with pytest.raises(TimeoutError):
        flow_runs.wait(job, limit=1)
    assert time.monotonic() - began < 2
    assert flow_runs.lines == []
    assert "not shown" not in caplog.text
    assert flow_runs.wait(job).status == "succeeded"
    assert flow_runs.lines == ["begin", "end"]


def test_an_api_server_that_is_away_is_waited_for(flow_runs: FlowRuns, own_node: Node) -> None:
    job = flow_runs.create(flow_runs.manifest("sleep 4; echo end"))
    own_node.kill_api_server()
    mend = threading.Timer(8, own_node.start_api_server)
    mend.start()
    try:
        started = time.monotonic()
        assert flow_runs.wait(job).status == "succeeded"
        assert time.monotonic() - started >= 8
        assert flow_runs.lines == ["end"]
    finally:
        mend.join()


def test_the_users_suspended_job_is_waited_for(
    flow_runs: FlowRuns, batch_v1: Any, namespace: str
) -> None:
    spec = SPEC.replace("backoffLimit: 0", "backoffLimit: 0\n  suspend: true")
    job = flow_runs.create(flow_runs.manifest("echo released", spec))
    patch = {"spec": {"suspend": False}}
    release = threading.Timer(
        2, batch_v1.patch_namespaced_job, (job["metadata"]["name"], namespace, patch)
    )
    release.start()
    assert flow_runs.wait(job).status == "succeeded"
    assert flow_runs.lines == ["released"]
    release.join()


def test_a_flow_that_starts_while_the_api_server_is_away_is_not_taken_for_one_that_does_not(
    cluster: Cluster,
    core_v1: Any,
    namespace: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def is_starting() -> bool:
        pods = core_v1.list_namespaced_pod(namespace).items
        statuses = [status for pod in pods for status in pod.status.init_container_statuses or []]
        return any(status.state.running for status in statuses)

    spec = yaml.safe_load(SPEC)
    first = {"name": "first", "image": cluster.shell_image, "command": ["sleep", "4"]}
    spec["spec"]["template"]["spec"]["initContainers"] = [first]
    with FaultProxy(cluster.kubeconfig, tmp_path) as proxy, ThreadPoolExecutor(1) as thread:
        connection = connect(proxy.kubeconfig, monkeypatch)
        with FlowRuns(connection, namespace, cluster.shell_image) as flow_runs:
            job = flow_runs.create(flow_runs.manifest("sleep 9", yaml.safe_dump(spec)))
            started = time.monotonic()
            outcome = thread.submit(flow_runs.wait, job, startup_timeout=7)
            wait_for(is_starting, "the first container to run")
            proxy.cut()
            mend = threading.Timer(max(started + 10 - time.monotonic(), 0), proxy.mend)
            mend.start()
            assert outcome.result(60).status == "succeeded"
            mend.join()
