"""What is secret of a flow reaches its pod through a Secret, which does not outlive its Job."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flowjob.exceptions import ClusterError, FlowRunCancelledError, JobRefusedError
from flowjob.flow_run import FlowRun
from flowjob.launch.execution import Execution
from tests.support.access import restricted_kubeconfig
from tests.support.audit import AuditLog
from tests.support.cluster import Cluster
from tests.support.flow_runs import SPEC, FlowRuns, connect, new_flow_run
from tests.support.keyed_flows import KEY, Launches
from tests.support.reverse_proxy import ReverseProxy
from tests.support.wait import wait_for

JOBS = {
    "apiGroups": ["batch"],
    "resources": ["jobs"],
    "verbs": ["create", "get", "list", "watch", "delete"],
}


@pytest.fixture
def launches(flow_runs: FlowRuns, cluster: Cluster, namespace: str) -> Launches:
    return Launches(flow_runs, cluster, namespace)


def secrets(core_v1: Any, namespace: str) -> list[Any]:
    return list(core_v1.list_namespaced_secret(namespace).items)


def owners(core_v1: Any, namespace: str) -> list[str]:
    """Return the uids of what the Secrets go with."""
    return [
        owner.uid
        for secret in secrets(core_v1, namespace)
        for owner in secret.metadata.owner_references or []
    ]


def wait_until_none_is_left(core_v1: Any, namespace: str) -> None:
    wait_for(lambda: not secrets(core_v1, namespace), "the Secret to be gone")


def later_try(flow_run: FlowRun) -> FlowRun:
    return replace(flow_run, flow_run_id=new_flow_run().flow_run_id, try_number=2)


def test_a_flow_finds_its_key_and_nothing_but_the_secret_has_it(
    launches: Launches, audit_log: AuditLog, batch_v1: Any, core_v1: Any, namespace: str
) -> None:
    mark, runs = audit_log.position(), launches.runs
    job = launches.launch(new_flow_run())
    assert runs.wait(job).status == "succeeded"
    assert runs.lines == [f"key {KEY}"]
    events = str(core_v1.list_namespaced_event(namespace))
    # A pod that finds no Secret is told so, and starts later.
    assert "Failed" not in events
    shown = [str(batch_v1.list_namespaced_job(namespace)), events]
    # The audit log has the whole of each Job as it was sent.
    shown += [str(core_v1.list_namespaced_pod(namespace)), audit_log.text(since=mark)]
    for marker in (KEY, base64.b64encode(KEY.encode()).decode()):
        assert [text for text in shown if marker in text] == []
    (secret,) = secrets(core_v1, namespace)
    assert base64.b64decode(secret.data["KEY"]).decode() == KEY
    asked = audit_log.requests(since=mark, resource="secrets", user_agent="flowjob/")
    assert [request.verb for request in asked] == ["create", "patch"]


def test_the_secret_goes_with_its_job(
    launches: Launches, batch_v1: Any, core_v1: Any, namespace: str
) -> None:
    job = launches.launch(new_flow_run())
    assert owners(core_v1, namespace) == [job["metadata"]["uid"]]
    assert launches.runs.loop.run(launches.runs.cluster.delete_job(job))
    wait_until_none_is_left(core_v1, namespace)


def test_a_flow_without_a_key_asks_for_no_secret(
    flow_runs: FlowRuns, audit_log: AuditLog, namespace: str
) -> None:
    mark, flow_run = audit_log.position(), new_flow_run()
    manifest = flow_runs.manifest("true", flow_run=flow_run)
    flow_runs.wait(flow_runs.loop.run(Execution(flow_runs.cluster).launch(flow_run, manifest)))
    asked = {"since": mark, "namespace": namespace, "user_agent": "flowjob/"}
    wait_for(lambda: audit_log.count(resource="jobs", verb="watch", **asked), "the audit log")
    assert audit_log.count(resource="secrets", **asked) == 0


def test_a_job_that_is_refused_leaves_no_secret(
    launches: Launches, core_v1: Any, namespace: str
) -> None:
    flow_run = new_flow_run()
    refused = SPEC.replace("backoffLimit: 0", "backoffLimit: -1")
    with pytest.raises(JobRefusedError, match=r"spec\.backoffLimit"):
        launches.launch(flow_run, launches.manifests(flow_run, spec=refused))
    assert secrets(core_v1, namespace) == []


def test_a_full_quota_leaves_no_secret(launches: Launches, core_v1: Any, namespace: str) -> None:
    quota = {"metadata": {"name": "jobs"}, "spec": {"hard": {"count/jobs.batch": "0"}}}
    core_v1.create_namespaced_resource_quota(namespace, quota)

    def counts() -> Any:
        return core_v1.read_namespaced_resource_quota("jobs", namespace).status.hard

    wait_for(counts, "the quota to count")
    with pytest.raises(ClusterError, match="no room for the Job"):
        launches.launch(new_flow_run())
    assert secrets(core_v1, namespace) == []


@pytest.fixture
def proxy(cluster: Cluster, tmp_path: Path) -> Any:
    with ReverseProxy(cluster.kubeconfig, tmp_path) as running:
        yield running


@pytest.fixture
def proxied(
    proxy: ReverseProxy, cluster: Cluster, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> Any:
    connection = connect(proxy.kubeconfig, monkeypatch, "proxied")
    with FlowRuns(connection, namespace, cluster.shell_image) as runs:
        yield Launches(runs, cluster, namespace)


def test_a_lost_reply_of_the_secrets_create_leaves_one_secret_and_a_flow_that_runs(
    proxied: Launches, proxy: ReverseProxy, core_v1: Any, namespace: str
) -> None:
    lost = proxy.hold_reply("POST", "/secrets")
    launching = proxied.start(new_flow_run())
    lost.wait_until_reached()
    lost.lose()
    job = launching.result(30)
    assert proxied.runs.wait(job).status == "succeeded"
    assert proxied.runs.lines == [f"key {KEY}"]
    assert owners(core_v1, namespace) == [job["metadata"]["uid"]]


@pytest.mark.parametrize("is_created", [False, True], ids=["before the Job", "with the Job"])
def test_a_kill_between_secret_and_job_leaves_neither(
    proxied: Launches,
    proxy: ReverseProxy,
    batch_v1: Any,
    core_v1: Any,
    namespace: str,
    is_created: bool,
) -> None:
    hold = proxy.hold_reply if is_created else proxy.hold_request
    create = hold("POST", "/jobs")
    launching = proxied.start(new_flow_run())
    create.wait_until_reached()
    assert len(secrets(core_v1, namespace)) == 1
    killing = proxied.runs.loop.start(proxied.execution.kill())
    create.lose()
    killing.result(10)
    told = "and its Job deleted" if is_created else "and has no Job"
    with pytest.raises(FlowRunCancelledError, match=told):
        launching.result(10)
    assert secrets(core_v1, namespace) == []
    wait_for(lambda: not batch_v1.list_namespaced_job(namespace).items, "the Job to be gone")


def test_a_worker_that_is_to_end_between_secret_and_job_leaves_neither(
    proxied: Launches, proxy: ReverseProxy, batch_v1: Any, core_v1: Any, namespace: str
) -> None:
    create = proxy.hold_request("POST", "/jobs")
    launching = proxied.start(new_flow_run())
    create.wait_until_reached()
    proxied.execution.leave()
    create.lose()
    with pytest.raises(ClusterError, match="a later try launches the Job"):
        launching.result(10)
    assert secrets(core_v1, namespace) == []
    assert batch_v1.list_namespaced_job(namespace).items == []


def test_a_later_try_gives_the_secret_to_the_job_of_a_worker_that_ended_too_early(
    proxied: Launches, proxy: ReverseProxy, core_v1: Any, namespace: str
) -> None:
    flow_run = new_flow_run()
    create = proxy.hold_reply("POST", "/jobs")
    launching = proxied.start(flow_run)
    create.wait_until_reached()
    proxied.execution.leave()
    create.lose()
    with pytest.raises(ClusterError, match="a later try launches the Job"):
        launching.result(10)
    assert (len(secrets(core_v1, namespace)), owners(core_v1, namespace)) == (1, [])

    job = proxied.launch(later_try(flow_run))
    assert job["metadata"]["labels"]["flow_run_id"] == flow_run.flow_run_id
    assert (len(secrets(core_v1, namespace)), len(owners(core_v1, namespace))) == (1, 1)
    assert proxied.runs.wait(job).status == "succeeded"
    assert proxied.runs.lines == [f"key {KEY}"]


def test_a_job_that_is_made_again_has_a_secret_of_its_own(
    launches: Launches, batch_v1: Any, core_v1: Any, namespace: str
) -> None:
    flow_run = new_flow_run()
    spec = SPEC.replace("GracePeriodSeconds: 1", "GracePeriodSeconds: 4")
    script = 'trap "" TERM; sleep 60 & wait; wait'
    first = launches.launch(flow_run, launches.manifests(flow_run, script, spec))

    def pod_runs() -> bool:
        pods = core_v1.list_namespaced_pod(namespace).items
        return bool(pods) and pods[0].status.phase == "Running"

    wait_for(pod_runs, "the pod to run")
    name = first["metadata"]["name"]
    batch_v1.delete_namespaced_job(name, namespace, propagation_policy="Foreground")
    # The same try goes on, as after a restart of its worker: it waits until the first one is gone.
    made = launches.manifests(flow_run)
    second = launches.runs.loop.run(
        Execution(launches.runs.cluster).launch(flow_run, made.job, 60, secret=made.secret)
    )
    assert second["metadata"]["uid"] != first["metadata"]["uid"]
    assert launches.runs.wait(second).status == "succeeded"
    assert launches.runs.lines == [f"key {KEY}"]
    assert owners(core_v1, namespace) == [second["metadata"]["uid"]]


def test_a_secret_that_went_with_an_earlier_job_of_the_name_is_made_again(
    proxied: Launches, proxy: ReverseProxy, core_v1: Any, namespace: str
) -> None:
    create = proxy.hold_request("POST", "/jobs")
    launching = proxied.start(new_flow_run())
    create.wait_until_reached()
    # As Kubernetes does late, when the earlier Job is gone already.
    (secret,) = secrets(core_v1, namespace)
    core_v1.delete_namespaced_secret(secret.metadata.name, namespace)
    create.let_go()
    job = launching.result(30)
    assert owners(core_v1, namespace) == [job["metadata"]["uid"]]
    assert proxied.runs.wait(job).status == "succeeded"
    assert proxied.runs.lines == [f"key {KEY}"]


def test_a_secret_of_somebody_elses_is_neither_used_nor_touched(
    launches: Launches, batch_v1: Any, core_v1: Any, namespace: str
) -> None:
    flow_run = new_flow_run()
    made = launches.manifests(flow_run)
    name = made.job["metadata"]["name"]
    metadata = {"name": name, "labels": {"flow_run_id": "another"}}
    core_v1.create_namespaced_secret(namespace, {"metadata": metadata, "stringData": {"KEY": "x"}})
    (before,) = secrets(core_v1, namespace)
    with pytest.raises(JobRefusedError, match=f"the Secret '{name}' .* belongs to somebody else"):
        launches.launch(flow_run, made)
    (after,) = secrets(core_v1, namespace)
    assert after.metadata.resource_version == before.metadata.resource_version
    assert batch_v1.list_namespaced_job(namespace).items == []


def restricted(
    cluster: Cluster,
    namespace: str,
    rules: list[dict[str, Any]],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> FlowRuns:
    path = restricted_kubeconfig(cluster.kubeconfig, namespace, "flows", rules, folder)
    return FlowRuns(connect(path, monkeypatch, "restricted"), namespace, cluster.shell_image)


def test_a_missing_right_on_secrets_is_named_with_a_way_that_needs_none(
    cluster: Cluster,
    namespace: str,
    batch_v1: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # An API server that has just started is not the case here.
    monkeypatch.setattr("flowjob.cluster.patience.DOUBT", 0)
    with restricted(cluster, namespace, [JOBS], tmp_path, monkeypatch) as runs:
        launches = Launches(runs, cluster, namespace)
        with pytest.raises(JobRefusedError) as raised:
            launches.launch(new_flow_run())
    message = str(raised.value)
    assert 'cannot create resource "secrets"' in message
    assert 'PrefectCloudFlow(api_key_secret="name/key")' in message
    assert KEY not in message
    assert "\n" not in message
    assert batch_v1.list_namespaced_job(namespace).items == []


def test_a_secret_that_may_only_be_created_stays_and_the_log_says_why(
    cluster: Cluster,
    namespace: str,
    core_v1: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    rules = [JOBS, {"apiGroups": [""], "resources": ["secrets"], "verbs": ["create"]}]
    with restricted(cluster, namespace, rules, tmp_path, monkeypatch) as runs:
        launches = Launches(runs, cluster, namespace)
        job = launches.launch(new_flow_run())
        name = job["metadata"]["name"]
        assert f"The Secret {name} will not go with its Job" in caplog.text
        assert 'cannot patch resource "secrets"' in caplog.text
        runs.loop.run(launches.execution.kill())
    assert f"The Secret {name} is left to the sweep" in caplog.text
    assert KEY not in caplog.text
    assert owners(core_v1, namespace) == []
