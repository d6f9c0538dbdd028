"""What `deploy/` grants is enough for what it is for, and no verb in it is for nothing."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from flowjob.cluster.patience import REFUSALS
from flowjob.cluster.secrets import Secrets
from flowjob.exceptions import ClusterError, FlowJobError, JobRefusedError
from flowjob.flow_run import FLOW_RUN_ID_LABEL, FlowRun, TaskInstanceKey
from flowjob.flows.base import FlowConnection
from flowjob.launch.execution import Execution
from flowjob.ui.job_place import JobPlace
from flowjob.ui.live_log import LiveLog
from flowjob.ui.looks import Looks
from flowjob.worker.sweep import sweep
from tests.support.access import kubeconfig_of
from tests.support.audit import AuditLog
from tests.support.cluster import Cluster
from tests.support.deployed import (
    API_SERVER,
    TRIGGERER,
    WORKER,
    Object,
    applied,
    granted,
    rights,
    without,
)
from tests.support.flow_runs import SPEC, FlowRuns, connect, new_flow_run
from tests.support.keyed_flows import Launches
from tests.support.kustomize import kustomize
from tests.support.reverse_proxy import ReverseProxy
from tests.support.suspended_jobs import SUSPENDED_SPEC, suspended_job
from tests.support.triggers import only_event, trigger_of
from tests.support.wait import wait_for

SECRETS = ("secrets",)
SWEEP = ("secrets", "sweep")


@pytest.fixture(scope="module", autouse=True)
def _built(request: pytest.FixtureRequest) -> None:
    # Building takes minutes the first time: its progress must be seen, not captured.
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        kustomize()


class Deployment:
    """A namespace of flows, and who may do what there."""

    def __init__(
        self, cluster: Cluster, namespace: str, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.cluster, self.namespace, self.folder = cluster, namespace, folder
        self.connect = partial(connect, monkeypatch=monkeypatch)
        self._ending = ExitStack()

    def __enter__(self) -> Deployment:
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.close()

    def rights(self, *components: str) -> list[Object]:
        return rights(self.namespace, self.folder, *components)

    def grant(self, objects: list[Object]) -> None:
        held = applied(self.cluster.kubeconfig, self.namespace, objects)
        self._ending.enter_context(held)

    def kubeconfig(self, account: str) -> Path:
        return kubeconfig_of(self.cluster.kubeconfig, self.namespace, account, self.folder)

    def connection(self, account: str) -> str:
        return self.connect(self.kubeconfig(account), conn_id=account.replace("-", "_"))

    def runs(self, account: str) -> FlowRuns:
        """Return flow runs that are launched and waited for by an account."""
        connection = self.connection(account)
        return self._ending.enter_context(
            FlowRuns(connection, self.namespace, self.cluster.shell_image)
        )

    def proxied_runs(self, account: str) -> tuple[FlowRuns, ReverseProxy]:
        proxy = self._ending.enter_context(ReverseProxy(self.kubeconfig(account), self.folder))
        connection = self.connect(proxy.kubeconfig, conn_id="proxied")
        runs = FlowRuns(connection, self.namespace, self.cluster.shell_image)
        return self._ending.enter_context(runs), proxy

    def launches(self, runs: FlowRuns) -> Launches:
        return Launches(runs, self.cluster, self.namespace)


@pytest.fixture
def deployment(
    cluster: Cluster, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Deployment]:
    with Deployment(cluster, namespace, tmp_path, monkeypatch) as made:
        yield made


def launch(runs: FlowRuns, flow_run: FlowRun, script: str) -> dict[str, Any]:
    """Launch a flow run as a worker does."""
    manifest = runs.manifest(script, flow_run=flow_run)
    job: dict[str, Any] = runs.loop.run(Execution(runs.cluster).launch(flow_run, manifest, 5))
    return job


def later_try(flow_run: FlowRun) -> FlowRun:
    return replace(flow_run, flow_run_id=new_flow_run().flow_run_id, try_number=2)


def sweep_of(deployment: Deployment, namespace: str | None) -> None:
    def connection(_: str) -> FlowConnection:
        raise AssertionError("no flow run here is one that Prefect knows")

    log = logging.getLogger("sweep")
    sweep(deployment.connection(WORKER), namespace, connection, dry_run=False, log=log)


# --- each account can do what it is for ----------------------------------------------------------


def requested(audit_log: AuditLog, **own: Any) -> set[tuple[str, str]]:
    return {
        (f"{each.resource}/{each.subresource}".rstrip("/"), each.verb)
        for each in audit_log.requests(user_agent="flowjob/", **own)
    }


def user(namespace: str, account: str) -> str:
    return f"system:serviceaccount:{namespace}:{account}"


def test_a_worker_runs_flows_adopts_them_kills_them_and_says_why_one_does_not_start(
    deployment: Deployment, audit_log: AuditLog, namespace: str
) -> None:
    roles = deployment.rights()
    deployment.grant(roles)
    own: dict[str, Any] = {"since": audit_log.position(), "user": user(namespace, WORKER)}
    runs, flow_run = deployment.runs(WORKER), new_flow_run()
    job = launch(runs, flow_run, "echo ran; echo '[1]' > /dev/termination-log")
    outcome = runs.wait(job)
    assert (outcome.status, outcome.termination_message) == ("succeeded", "[1]\n")
    assert runs.lines == ["ran"]
    assert launch(runs, later_try(flow_run), "true")["metadata"]["uid"] == job["metadata"]["uid"]
    execution = Execution(runs.cluster)
    assert runs.loop.run(execution.resume(namespace, job["metadata"]["name"]))
    runs.loop.run(execution.kill())
    assert execution.end_of_kill.endswith("its Job deleted")
    image = runs.manifest("true")
    image["spec"]["template"]["spec"]["containers"][0]["image"] = "local/none:1"
    assert "image" in str(runs.wait(runs.create(image), startup_timeout=5).message)
    assert audit_log.count(code=403, **own) == 0
    wait_for(lambda: ("jobs", "delete") in requested(audit_log, **own), "the audit log")
    # A pod is read by its name where its log breaks off, and events where nothing else tells.
    unused = granted(roles, "flowjob-worker") - requested(audit_log, **own)
    # Nor is there a queue here.
    assert unused <= {("pods", "get"), ("events", "list"), ("workloads", "list")}


def test_a_triggerer_waits_for_flow_runs_keeps_last_lines_and_kills_but_launches_none(
    deployment: Deployment, flow_runs: FlowRuns, audit_log: AuditLog, namespace: str
) -> None:
    roles = deployment.rights()
    deployment.grant(roles)
    own: dict[str, Any] = {"since": audit_log.position(), "user": user(namespace, TRIGGERER)}
    runs = deployment.runs(TRIGGERER)
    job = flow_runs.create(flow_runs.manifest("echo '[2]' > /dev/termination-log"))
    event = runs.loop.run(only_event(trigger_of(job, deployment.connection(TRIGGERER))))
    assert event["outcome"]["status"] == "succeeded"
    late = SPEC.replace("backoffLimit: 0", "activeDeadlineSeconds: 3")
    job = flow_runs.create(flow_runs.manifest("echo last words; sleep 600", late))
    event = runs.loop.run(only_event(trigger_of(job, deployment.connection(TRIGGERER))))
    assert "last words" in json.dumps(event)
    job = flow_runs.create(flow_runs.manifest("sleep 600"))
    assert runs.loop.run(runs.cluster.delete_job(job, patience=runs.cluster.patience(REFUSALS)))
    assert audit_log.count(code=403, **own) == 0
    unused = granted(roles, "flowjob-triggerer") - requested(audit_log, **own)
    seldom = {("jobs", "get"), ("pods", "get"), ("events", "list"), ("workloads", "list")}
    assert unused <= seldom
    assert ("jobs", "create") not in granted(roles, "flowjob-triggerer")


def test_an_api_server_shows_where_a_flow_run_is_and_its_lines_and_may_change_nothing(
    deployment: Deployment, flow_runs: FlowRuns, audit_log: AuditLog, namespace: str
) -> None:
    roles = deployment.rights()
    deployment.grant(roles)
    own: dict[str, Any] = {"since": audit_log.position(), "user": user(namespace, API_SERVER)}
    flow_run = new_flow_run()
    job = flow_runs.create(flow_runs.manifest("echo a line; sleep 5", flow_run=flow_run))
    name = job["metadata"]["name"]
    place = JobPlace(deployment.connection(API_SERVER), namespace, name, flow_run.flow_run_id)

    async def show() -> list[str]:
        seen, failures = await Looks().at([place])
        assert (set(seen), failures) == ({flow_run.flow_run_id}, [])
        return [event async for event in LiveLog(place, str).events(_stays)]

    events = "".join(asyncio.run(show()))
    assert 'data: ["a line"]' in events
    assert "The flow run has succeeded." in events
    assert {each.code for each in audit_log.requests(resource="events", **own)} <= {403}
    asked = requested(audit_log, **own) - {("events", "list")}
    # A pod is read by its name where its log breaks off.
    assert granted(roles, "flowjob-api-server") - asked <= {("pods", "get")}
    assert {verb for _, verb in asked} <= {"get", "list", "watch"}


async def _stays() -> bool:
    return False


def test_a_worker_with_the_rights_on_secrets_hands_on_keys_and_leaves_no_secret_behind(
    deployment: Deployment, audit_log: AuditLog, core_v1: Any, namespace: str
) -> None:
    roles = deployment.rights(*SECRETS)
    deployment.grant(roles)
    own: dict[str, Any] = {"since": audit_log.position(), "user": user(namespace, WORKER)}
    runs = deployment.runs(WORKER)
    launches = deployment.launches(runs)
    assert runs.wait(launches.launch(new_flow_run())).status == "succeeded"
    with pytest.raises(JobRefusedError):
        launch_refused(launches)
    assert len(core_v1.list_namespaced_secret(namespace).items) == 1
    assert audit_log.count(code=403, **own) == 0
    assert granted(roles, "flowjob-secrets") <= requested(audit_log, **own)


def test_a_sweep_with_its_rights_finds_and_deletes_jobs_and_secrets(
    deployment: Deployment,
    flow_runs: FlowRuns,
    audit_log: AuditLog,
    core_v1: Any,
    namespace: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AIRFLOW__FLOWJOB__AIRFLOW_NAME", namespace)
    roles = deployment.rights("sweep", "sweep-everywhere")
    deployment.grant(roles)
    own: dict[str, Any] = {"since": audit_log.position(), "user": user(namespace, WORKER)}
    # Airflow is asked only about what has this Airflow's name, and nothing has.
    for where in (namespace, None):
        sweep_of(deployment, where)
    flow_run, runs = new_flow_run(), deployment.runs(WORKER)
    job = suspended_job(flow_runs)
    metadata = {"name": flow_run.job_name("loose"), "labels": flow_run.labels}
    core_v1.create_namespaced_secret(namespace, {"metadata": metadata})
    (secret,) = runs.loop.run(Secrets(runs.cluster).without_owner(namespace)) or []
    assert runs.loop.run(Secrets(runs.cluster).delete(secret, if_unchanged=True))
    (seen,) = runs.loop.run(runs.cluster.list_jobs(namespace, FLOW_RUN_ID_LABEL))
    assert seen["metadata"]["uid"] == job["metadata"]["uid"]
    wait_for(
        lambda: runs.loop.run(delete_unchanged(runs, namespace)), "a moment without a change of it"
    )
    assert audit_log.count(code=403, **own) == 0
    used = granted(roles, "flowjob-sweep") | granted(roles, "flowjob-sweep-everywhere")
    assert used <= requested(audit_log, **own)


async def delete_unchanged(runs: FlowRuns, namespace: str) -> bool:
    (job,) = await runs.cluster.list_jobs(namespace, FLOW_RUN_ID_LABEL)
    return await runs.cluster.delete_job(job, if_unchanged=True)


def test_who_checks_job_specs_on_the_server_may_do_nothing_else(
    deployment: Deployment, namespace: str
) -> None:
    roles = deployment.rights("check")
    accounts = [each for each in roles if each["kind"] == "ServiceAccount"]
    deployment.grant(roles)
    runs = deployment.runs(accounts[0]["metadata"]["name"])
    runs.loop.run(runs.cluster.check_job(runs.manifest("true")))
    assert granted(roles, "flowjob-check") == {("jobs", "create")}
    with pytest.raises(ClusterError, match='cannot list resource "jobs"'):
        runs.loop.run(runs.cluster.list_jobs(namespace, FLOW_RUN_ID_LABEL))


# --- one verb less -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Lack:
    """A verb that is missing, what needs it, and what is said then, beside Kubernetes' words."""

    resource: str
    verb: str
    case: Callable[[Deployment], Any]
    said: str

    def __str__(self) -> str:
        return f"{self.verb} of {self.resource}"

    @property
    def named(self) -> str:
        return f'cannot {self.verb} resource "{self.resource}"'


def run_one(deployment: Deployment) -> None:
    runs = deployment.runs(WORKER)
    assert runs.wait(launch(runs, new_flow_run(), "echo ran; sleep 1")).status == "succeeded"


def resume(deployment: Deployment) -> None:
    runs = deployment.runs(WORKER)
    job = launch(runs, new_flow_run(), "sleep 600")
    found = Execution(runs.cluster).resume(deployment.namespace, job["metadata"]["name"])
    runs.loop.run(found)


def try_again(deployment: Deployment) -> None:
    launch(deployment.runs(WORKER), later_try(new_flow_run()), "true")


def adopt(deployment: Deployment) -> None:
    runs, flow_run = deployment.runs(WORKER), new_flow_run()
    runs.wait(launch(runs, flow_run, "echo ran"))
    assert runs.wait(launch(runs, later_try(flow_run), "true")).status == "succeeded"


def kill(deployment: Deployment) -> None:
    runs = deployment.runs(WORKER)
    job, execution = launch(runs, new_flow_run(), "sleep 600"), Execution(runs.cluster)
    runs.loop.run(execution.take(job))
    runs.loop.run(execution.kill())
    execution.raise_if_killed()


def break_the_log_off(deployment: Deployment) -> None:
    runs, proxy = deployment.proxied_runs(WORKER)
    log = proxy.hold_reply("GET", "/log")
    job = launch(runs, new_flow_run(), "echo ran; sleep 5")
    with ThreadPoolExecutor() as threads:
        waiting = threads.submit(runs.wait, job)
        log.wait_until_reached()
        log.refuse(503)
        assert waiting.result(60).status == "succeeded"


def start_late(deployment: Deployment) -> None:
    runs = deployment.runs(WORKER)
    manifest = runs.manifest("true")
    # Only its events tell of it.
    volume = {"name": "absent", "configMap": {"name": "absent"}}
    pod = manifest["spec"]["template"]["spec"]
    pod["volumes"] = [volume]
    pod["containers"][0]["volumeMounts"] = [{"name": "absent", "mountPath": "/absent"}]
    assert runs.wait(runs.create(manifest), startup_timeout=3).status == "failed"


def stand_in_a_queue(deployment: Deployment) -> None:
    runs = deployment.runs(WORKER)
    manifest = runs.manifest("true", SUSPENDED_SPEC)
    manifest["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] = "nightly"
    told = Event()

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.name == "flowjob.wait.in_queue":
                told.set()

    # The last to hear of it: who keeps what is said has it by then.
    listener = Listener()
    logging.getLogger().addHandler(listener)
    # Nobody releases it.
    waiting = runs.waiting(runs.create(manifest))
    try:
        assert told.wait(60)
    finally:
        waiting.cancel()
        logging.getLogger().removeHandler(listener)


def launch_keyed(deployment: Deployment) -> None:
    deployment.launches(deployment.runs(WORKER)).launch(new_flow_run())


def launch_refused(launches: Launches) -> None:
    flow_run = replace(new_flow_run(), task_instance=TaskInstanceKey("dag", "run", "refused"))
    refused = SPEC.replace("backoffLimit: 0", "backoffLimit: -1")
    launches.launch(flow_run, launches.manifests(flow_run, spec=refused))


def launch_keyed_and_refused(deployment: Deployment) -> None:
    with pytest.raises(JobRefusedError, match="backoffLimit"):
        launch_refused(deployment.launches(deployment.runs(WORKER)))


def sweep_here(deployment: Deployment) -> None:
    sweep_of(deployment, deployment.namespace)


def sweep_a_secret(deployment: Deployment) -> None:
    runs, flow_run = deployment.runs(WORKER), new_flow_run()
    metadata = {"name": flow_run.job_name("loose"), "namespace": deployment.namespace}
    runs.loop.run(Secrets(runs.cluster).delete({"metadata": metadata}))


LACKS = [
    Lack("jobs", "create", run_one, "the API server refused the Job"),
    Lack("jobs", "get", resume, "cannot read the Job"),
    Lack("jobs", "list", try_again, "cannot list the Jobs"),
    Lack("jobs", "watch", run_one, "the Jobs are read now and then instead"),
    Lack("jobs", "delete", kill, "the flow run was cancelled, but its Job goes on"),
    Lack("pods", "get", break_the_log_off, "The flow's log cannot be read"),
    Lack("pods", "list", adopt, "neither exit codes, results nor logs are known"),
    Lack("pods", "watch", run_one, "neither exit codes, results nor logs are known"),
    Lack("pods/log", "get", run_one, "The flow's log cannot be read"),
    Lack("events", "list", start_late, "The events are not read"),
    Lack("workloads", "list", stand_in_a_queue, "Kueue's Workloads are not read"),
    Lack("secrets", "create", launch_keyed, "the API server refused the Secret"),
    Lack("secrets", "patch", launch_keyed, "will not go with its Job"),
    Lack("secrets", "delete", launch_keyed_and_refused, "is left to the sweep"),
]
LACKS_OF_A_SWEEP = [
    Lack("jobs", "list", sweep_here, "cannot list the Jobs"),
    Lack("secrets", "list", sweep_here, "not looked for, as they may not be listed"),
    Lack("secrets", "delete", sweep_a_secret, "cannot delete the Secret"),
]


def what_is_said(
    lack: Lack, objects: list[Object], deployment: Deployment, caplog: pytest.LogCaptureFixture
) -> str:
    """Return what is said where a verb is missing, as an error or in the task's log."""
    deployment.grant(without(objects, lack.resource, lack.verb))
    with caplog.at_level(logging.INFO):
        try:
            lack.case(deployment)
        except FlowJobError as error:
            return f"{caplog.text}{error}"
    return caplog.text


@pytest.mark.parametrize("lack", LACKS, ids=str)
def test_a_verb_that_a_worker_lacks_is_named_in_one_sentence(
    lack: Lack,
    deployment: Deployment,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # An API server that has just started is not the case here.
    monkeypatch.setattr("flowjob.cluster.patience.DOUBT", 0)
    said = what_is_said(lack, deployment.rights(*SECRETS), deployment, caplog)
    (line, *_) = [line for line in said.splitlines() if lack.said in line]
    assert lack.named in line


@pytest.mark.parametrize("lack", LACKS_OF_A_SWEEP, ids=str)
def test_a_verb_that_a_sweep_lacks_is_named_in_one_sentence(
    lack: Lack,
    deployment: Deployment,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("flowjob.cluster.patience.DOUBT", 0)
    monkeypatch.setenv("AIRFLOW__FLOWJOB__AIRFLOW_NAME", deployment.namespace)
    said = what_is_said(lack, deployment.rights(*SWEEP), deployment, caplog)
    (line, *_) = [line for line in said.splitlines() if lack.said in line]
    assert lack.named in line or "may not be listed" in line


def test_each_verb_of_the_roles_is_missed_by_somebody(deployment: Deployment) -> None:
    verbs = granted(deployment.rights(*SWEEP))
    assert {(lack.resource, lack.verb) for lack in (*LACKS, *LACKS_OF_A_SWEEP)} == verbs
