"""A refusal that may pass is waited for; one that stays is told with what helps."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client, config

from flowjob.exceptions import ClusterError, FlowJobError
from tests.support.access import restricted_kubeconfig
from tests.support.cluster import Cluster
from tests.support.flow_runs import FlowRuns, Manifest, connect
from tests.support.node.node import Node
from tests.support.suspended_jobs import suspended_job
from tests.support.wait import wait_for

ALL_BUT_DELETE = [
    {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create", "get", "list", "watch"]}
]


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(1) as pool:
        yield pool


@pytest.fixture
def one_job_at_a_time(core_v1: Any, namespace: str, flow_runs: FlowRuns) -> None:
    def quota(count: int) -> Manifest:
        return {"metadata": {"name": "one-job"}, "spec": {"hard": {"count/jobs.batch": str(count)}}}

    def is_refused() -> bool:
        try:
            flow_runs.loop.run(flow_runs.cluster.check_job(flow_runs.manifest("true")))
        except FlowJobError as error:
            return "exceeded quota" in str(error)
        return False

    # The API server goes by a quota only after a moment: one that lets none pass shows when.
    core_v1.create_namespaced_resource_quota(namespace, quota(0))
    wait_for(is_refused, "the quota to be known")
    core_v1.patch_namespaced_resource_quota("one-job", namespace, quota(1))


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.INFO, "flowjob")
    return caplog


@pytest.mark.usefixtures("one_job_at_a_time")
def test_a_full_quota_on_jobs_is_waited_for_until_there_is_room(
    flow_runs: FlowRuns,
    batch_v1: Any,
    namespace: str,
    threads: ThreadPoolExecutor,
    log: pytest.LogCaptureFixture,
) -> None:
    # The quota itself is known, and its count, only after a moment: that passes, too.
    first = suspended_job(flow_runs)
    manifest = flow_runs.manifest("true")
    creating = threads.submit(flow_runs.loop.run, flow_runs.cluster.create_job(manifest, limit=120))
    wait_for(lambda: "exceeded quota: one-job" in log.text, "the line that says so")
    batch_v1.delete_namespaced_job(
        first["metadata"]["name"], namespace, propagation_policy="Background"
    )
    created = creating.result(60)
    assert created["metadata"]["name"] == manifest["metadata"]["name"]


@pytest.mark.usefixtures("one_job_at_a_time")
def test_a_quota_on_jobs_that_stays_full_fails_with_retries_and_says_what_makes_room(
    flow_runs: FlowRuns, log: pytest.LogCaptureFixture
) -> None:
    suspended_job(flow_runs)
    manifest = flow_runs.manifest("true")
    began = time.monotonic()
    with pytest.raises(ClusterError) as refused:
        flow_runs.loop.run(flow_runs.cluster.create_job(manifest, limit=3))
    assert 3 <= time.monotonic() - began < 20
    assert refused.value.heals_by_retry
    told = str(refused.value)
    assert told.startswith(f"no room for the Job {manifest['metadata']['name']!r} in namespace ")
    assert "exceeded quota: one-job, requested: count/jobs.batch=1" in told
    assert told.endswith("for as long as they are kept: on_finish deletes them)")


def test_a_right_that_is_granted_late_does_not_fail_the_task(
    cluster: Cluster,
    namespace: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    threads: ThreadPoolExecutor,
    log: pytest.LogCaptureFixture,
) -> None:
    path = restricted_kubeconfig(cluster.kubeconfig, namespace, "late", [], tmp_path)
    with FlowRuns(connect(path, monkeypatch, "late"), namespace, cluster.shell_image) as runs:
        manifest = runs.manifest("true")
        creating = threads.submit(runs.create, manifest)
        wait_for(lambda: 'cannot create resource "jobs"' in log.text, "the line that says so")
        grant(cluster, namespace, "late", ALL_BUT_DELETE)
        assert creating.result(60)["metadata"]["name"] == manifest["metadata"]["name"]


def test_a_job_is_created_by_an_api_server_that_only_just_starts(
    own_node: Node,
    cluster: Cluster,
    namespace: str,
    batch_v1: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    threads: ThreadPoolExecutor,
    log: pytest.LogCaptureFixture,
) -> None:
    path = restricted_kubeconfig(cluster.kubeconfig, namespace, "early", ALL_BUT_DELETE, tmp_path)
    with FlowRuns(connect(path, monkeypatch, "early"), namespace, cluster.shell_image) as runs:
        own_node.kill_api_server()
        creating = threads.submit(runs.create, runs.manifest("true"))
        wait_for(lambda: "no usable answer" in log.text, "the line that says so")
        own_node.start_api_server()
        creating.result(60)
    assert len(batch_v1.list_namespaced_job(namespace).items) == 1


def test_a_job_that_may_not_be_deleted_is_told_with_the_right_that_is_missing(
    flow_runs: FlowRuns,
    cluster: Cluster,
    namespace: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = restricted_kubeconfig(cluster.kubeconfig, namespace, "keeper", ALL_BUT_DELETE, tmp_path)
    job = suspended_job(flow_runs)
    with (
        FlowRuns(connect(path, monkeypatch, "keeper"), namespace, cluster.shell_image) as runs,
        pytest.raises(ClusterError) as refused,
    ):
        runs.loop.run(runs.cluster.delete_job(job))
    told = str(refused.value)
    assert told.startswith(f"cannot delete the Job {job['metadata']['name']!r}: ")
    assert f'"system:serviceaccount:{namespace}:keeper" cannot delete resource "jobs"' in told
    assert told.endswith("(grant it to the user of the Airflow connection by an RBAC Role)")


def grant(cluster: Cluster, namespace: str, account: str, rules: list[Manifest]) -> None:
    """Give a service account of `restricted_kubeconfig` further rights."""
    with config.new_client_from_config(str(cluster.kubeconfig)) as api:
        rbac = client.RbacAuthorizationV1Api(api)
        rbac.patch_namespaced_role(account, namespace, {"rules": rules})
