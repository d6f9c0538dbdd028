"""A refusal that may pass is waited for; one that stays is told with what helps."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client, config

from flowjob.exceptions import ClusterError, FlowJobError, JobRefusedError
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


def wait_until_refused(flow_runs: FlowRuns, why: str) -> None:
    """Wait until the API server knows what makes it refuse each Job."""

    def is_refused() -> bool:
        try:
            flow_runs.loop.run(flow_runs.cluster.check_job(flow_runs.manifest("true")))
        except FlowJobError as error:
            return why in str(error)
        return False

    wait_for(is_refused, f"a Job to be refused: {why}")


@pytest.fixture
def one_job_at_a_time(core_v1: Any, namespace: str, flow_runs: FlowRuns) -> None:
    def quota(count: int) -> Manifest:
        return {"metadata": {"name": "one-job"}, "spec": {"hard": {"count/jobs.batch": str(count)}}}

    # The API server goes by a quota only after a moment: one that lets none pass shows when.
    core_v1.create_namespaced_resource_quota(namespace, quota(0))
    wait_until_refused(flow_runs, "exceeded quota")
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


@pytest.fixture
def admission(cluster: Cluster) -> Any:
    return client.AdmissionregistrationV1Api(config.new_client_from_config(str(cluster.kubeconfig)))


JOBS = {"apiGroups": ["batch"], "apiVersions": ["v1"], "operations": ["CREATE"]} | {
    "resources": ["jobs"]
}


def own(namespace: str) -> dict[str, Any]:
    return {"matchLabels": {"kubernetes.io/metadata.name": namespace}}


@pytest.fixture
def policy(admission: Any, namespace: str, flow_runs: FlowRuns) -> Iterator[None]:
    """Refuse each Job of the namespace, in a sentence of the platform's own."""
    spec = {
        "failurePolicy": "Fail",
        "matchConstraints": {"namespaceSelector": own(namespace), "resourceRules": [JOBS]},
        "validations": [{"expression": "false", "message": "every Job needs the label team"}],
    }
    binding = {"policyName": namespace, "validationActions": ["Deny"]}
    metadata = {"name": namespace}
    admission.create_validating_admission_policy({"metadata": metadata, "spec": spec})
    admission.create_validating_admission_policy_binding({"metadata": metadata, "spec": binding})
    wait_until_refused(flow_runs, "denied request")
    yield
    admission.delete_validating_admission_policy_binding(namespace)
    admission.delete_validating_admission_policy(namespace)


@pytest.mark.usefixtures("policy")
def test_a_policys_own_sentence_reaches_the_user(flow_runs: FlowRuns) -> None:
    with pytest.raises(JobRefusedError, match="denied request: every Job needs the label team"):
        flow_runs.create(flow_runs.manifest("true"))


@pytest.fixture
def dead_webhook(admission: Any, namespace: str, flow_runs: FlowRuns) -> Iterator[None]:
    """Have each Job of the namespace looked at by a program that is not there."""
    webhook = {
        "name": "jobs.example.com",
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "failurePolicy": "Fail",
        "timeoutSeconds": 2,
        "clientConfig": {"url": "https://127.0.0.1:9/validate"},
        "namespaceSelector": own(namespace),
        "rules": [JOBS],
    }
    admission.create_validating_webhook_configuration(
        {"metadata": {"name": namespace}, "webhooks": [webhook]}
    )
    wait_until_refused(flow_runs, "failed calling webhook")
    yield
    with suppress(client.ApiException):
        admission.delete_validating_webhook_configuration(namespace)


@pytest.mark.usefixtures("dead_webhook")
def test_a_webhook_that_is_down_is_named_and_waited_for(
    flow_runs: FlowRuns,
    admission: Any,
    namespace: str,
    threads: ThreadPoolExecutor,
    log: pytest.LogCaptureFixture,
) -> None:
    manifest = flow_runs.manifest("true")
    creating = threads.submit(flow_runs.create, manifest)
    told = 'failed calling webhook "jobs.example.com"'
    wait_for(lambda: told in log.text, "the line that names it")
    assert "the webhook is another program of the cluster's, and down" in log.text
    admission.delete_validating_webhook_configuration(namespace)
    assert creating.result(60)["metadata"]["name"] == manifest["metadata"]["name"]


@pytest.mark.usefixtures("dead_webhook")
def test_a_check_says_at_once_that_a_webhook_is_down(flow_runs: FlowRuns) -> None:
    began = time.monotonic()
    with pytest.raises(ClusterError, match=r'failed calling webhook "jobs\.example\.com"'):
        flow_runs.loop.run(flow_runs.cluster.check_job(flow_runs.manifest("true")))
    assert time.monotonic() - began < 5
