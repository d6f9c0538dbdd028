"""Copies of a Job, and pods of somebody else's, have its labels; they are not the flow run's."""

from __future__ import annotations

from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from flowjob.status.observation import Observation
from flowjob.status.outcome import Outcome
from flowjob.wait.flow_run_watch import watch_of
from flowjob.wait.until_end import wait_for_end
from tests.support.access import restricted_kubeconfig
from tests.support.cluster import Cluster
from tests.support.flow_runs import FlowRuns, Manifest, connect
from tests.support.suspended_jobs import complete, suspended_job
from tests.support.unmanaged_jobs import ended, pod_manifest, running, unmanaged_job
from tests.support.wait import wait_for


class Waiting:
    """Waits for a Job, and counts what is shown of it."""

    def __init__(self, flow_runs: FlowRuns, job: Manifest) -> None:
        self.shown = 0
        self.pods: set[str] = set()
        self.outcome: Future[Outcome] = flow_runs.loop.start(self._wait(flow_runs, job))

    def see(self, news: Observation) -> None:
        self.shown += 1
        self.pods |= {pod["metadata"]["name"] for pod in news.pods.values()}

    async def _wait(self, flow_runs: FlowRuns, job: Manifest) -> Outcome:
        async with watch_of(flow_runs.cluster, job) as watch:
            _, outcome = await wait_for_end(
                flow_runs.cluster, watch, job, self.see, startup_timeout=None, wait_for="job"
            )
            return outcome


def copy_of(job: Manifest) -> Manifest:
    """Return what somebody creates who copies a Job to debug it."""
    metadata = {"name": f"{job['metadata']['name']}-debug", "labels": job["metadata"]["labels"]}
    spec = {k: v for k, v in job["spec"].items() if k not in ("selector", "template")}
    template = job["spec"]["template"]
    labels = {k: v for k, v in template["metadata"]["labels"].items() if "/" not in k}
    labels = {k: v for k, v in labels.items() if k not in ("controller-uid", "job-name")}
    template = {"metadata": {"labels": labels}, "spec": template["spec"]}
    return {**job, "metadata": metadata, "spec": {**spec, "template": template}, "status": {}}


def test_a_copy_of_its_job_neither_ends_nor_fails_a_flow_run(
    flow_runs: FlowRuns, batch_v1: Any, namespace: str
) -> None:
    job = suspended_job(flow_runs)
    waiting = Waiting(flow_runs, job)
    wait_for(lambda: waiting.shown, "the Job to be seen")
    copy = copy_of(job)
    batch_v1.create_namespaced_job(namespace, copy)
    complete(batch_v1, {"metadata": {**copy["metadata"], "namespace": namespace}})
    batch_v1.delete_namespaced_job(
        copy["metadata"]["name"], namespace, propagation_policy="Background"
    )
    # What the watch tells of the copy comes before this.
    shown = waiting.shown
    patch = {"metadata": {"labels": {"looked": "at"}}}
    batch_v1.patch_namespaced_job(job["metadata"]["name"], namespace, patch)
    wait_for(lambda: waiting.shown > shown, "the Job's own change")
    assert waiting.shown == shown + 1
    assert not waiting.outcome.done()
    complete(batch_v1, job)
    assert waiting.outcome.result(30).status == "succeeded"


def test_a_job_that_loses_its_labels_is_waited_for_on_and_on(
    flow_runs: FlowRuns, batch_v1: Any, namespace: str
) -> None:
    names = ("name", "namespace", "uid", "labels")
    full = suspended_job(flow_runs)
    metadata_only = {"metadata": {name: full["metadata"][name] for name in names}}
    waiting = Waiting(flow_runs, metadata_only)
    wait_for(lambda: waiting.shown, "the Job to be seen")
    shown = waiting.shown
    patch = {"metadata": {"labels": {"flow_run_id": None}}}
    batch_v1.patch_namespaced_job(metadata_only["metadata"]["name"], namespace, patch)
    wait_for(lambda: waiting.shown > shown, "the Job to be read by its name")
    assert not waiting.outcome.done()
    complete(batch_v1, metadata_only)
    assert waiting.outcome.result(60).status == "succeeded"


def test_a_pod_of_somebody_else_with_the_flow_runs_labels_tells_nothing_of_it(
    flow_runs: FlowRuns, batch_v1: Any, core_v1: Any, namespace: str
) -> None:
    job = unmanaged_job(flow_runs, 1)
    own = pod_manifest(job, 0)
    foreign = pod_manifest(job, 1)
    del foreign["metadata"]["ownerReferences"]
    for pod, status in ((own, running()), (foreign, ended(0, '"not ours"'))):
        core_v1.create_namespaced_pod(namespace, pod)
        core_v1.patch_namespaced_pod_status(pod["metadata"]["name"], namespace, status)
    waiting = Waiting(flow_runs, job)
    wait_for(lambda: waiting.pods, "the pod to be seen")
    core_v1.patch_namespaced_pod_status(own["metadata"]["name"], namespace, ended(0, '"ours"'))
    complete(batch_v1, job)
    outcome = waiting.outcome.result(30)
    assert outcome.termination_message == '"ours"'
    assert waiting.pods == {own["metadata"]["name"]}


def test_a_pod_that_a_flow_starts_with_its_own_labels_is_not_the_flows(
    flow_runs: FlowRuns, core_v1: Any, namespace: str
) -> None:
    job = flow_runs.create(flow_runs.manifest("echo own > /dev/termination-log; sleep 3"))
    labels = job["metadata"]["labels"]
    container = {
        "name": "flow-container",
        "image": job["spec"]["template"]["spec"]["containers"][0]["image"],
        "command": ["sh", "-c", "echo foreign line; echo foreign > /dev/termination-log"],
    }
    core_v1.create_namespaced_pod(
        namespace,
        {
            "metadata": {"generateName": "foreign-", "labels": labels},
            "spec": {"restartPolicy": "Never", "containers": [container]},
        },
    )
    outcome = flow_runs.wait(job)
    assert (outcome.status, outcome.termination_message) == ("succeeded", "own\n")
    assert flow_runs.lines == []


def test_the_exit_code_is_the_last_attempts_though_the_pods_watch_lags(
    flow_runs: FlowRuns,
    batch_v1: Any,
    core_v1: Any,
    cluster: Cluster,
    namespace: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = unmanaged_job(flow_runs, 1)
    first, second = pod_manifest(job, 0), pod_manifest(job, 1)
    core_v1.create_namespaced_pod(namespace, first)
    core_v1.patch_namespaced_pod_status(first["metadata"]["name"], namespace, ended(99))
    # As it may list the pods and not watch them, it sees none that comes later.
    rules = [
        {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]},
    ]
    path = restricted_kubeconfig(cluster.kubeconfig, namespace, "lister", rules, tmp_path)
    with FlowRuns(connect(path, monkeypatch, "lister"), namespace, "none") as lister:
        waiting = Waiting(lister, job)
        wait_for(lambda: waiting.pods, "the first attempt to be seen")
        core_v1.create_namespaced_pod(namespace, second)
        later = ended(1, second=1)
        core_v1.patch_namespaced_pod_status(second["metadata"]["name"], namespace, later)
        fail(batch_v1, job, failed=2)
        assert waiting.outcome.result(30).exit_code == 1


def fail(batch_v1: Any, job: Manifest, failed: int) -> None:
    """Make the Job Failed, as the Job controller would."""
    now = "2026-01-01T00:02:00Z"
    conditions = [
        {"type": kind, "status": "True", "reason": "BackoffLimitExceeded", "message": "no more"}
        for kind in ("FailureTarget", "Failed")
    ]
    status = {"startTime": now, "failed": failed, "conditions": conditions}
    batch_v1.patch_namespaced_job_status(
        job["metadata"]["name"], job["metadata"]["namespace"], {"status": status}
    )
