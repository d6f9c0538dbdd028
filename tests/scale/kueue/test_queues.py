"""A Job in a queue of Kueue's is one flow run, however often it is held, admitted and preempted."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from flowjob.exceptions import FlowRunCancelledError
from flowjob.flow_run import FlowRun, TaskInstanceKey
from flowjob.launch.execution import Execution
from flowjob.status.outcome import Outcome
from tests.support.access import restricted_kubeconfig
from tests.support.audit import AuditLog
from tests.support.cluster import Cluster
from tests.support.deployed import DEPLOY
from tests.support.flow_runs import FlowRuns, Manifest, connect, new_flow_run
from tests.support.kueue.queues import Queues, queued_spec
from tests.support.kueue.running import Kueue
from tests.support.triggers import only_event, trigger_of
from tests.support.wait import wait_for

pytestmark = pytest.mark.usefixtures("own_node")

# Says which of its pods it is, and ends in the second one.
TWICE = "if [ -e /state/seen ]; then echo second; else touch /state/seen; echo first; sleep 600; fi"


@pytest.fixture(autouse=True)
def _told(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    caplog.set_level(logging.INFO, "flowjob")
    # In place of a minute.
    monkeypatch.setattr("flowjob.wait.in_queue.REMINDER", 3)


def queued(flow_runs: FlowRuns, script: str, **spec: Any) -> Manifest:
    """Create a Job in a queue."""
    return flow_runs.create(flow_runs.manifest(script, queued_spec(**spec)))


def twice(flow_runs: FlowRuns, folder: Path, attempts: int = 1) -> Manifest:
    """Create a Job in a queue whose first pod has to be taken away.

    :param folder: where it remembers that there was one.
    """
    manifest = flow_runs.manifest(TWICE, queued_spec())
    manifest["spec"]["backoffLimit"] = attempts - 1
    pod = manifest["spec"]["template"]["spec"]
    pod["volumes"] = [{"name": "state", "hostPath": {"path": str(folder)}}]
    pod["containers"][0]["volumeMounts"] = [{"name": "state", "mountPath": "/state"}]
    return flow_runs.create(manifest)


def is_suspended(batch_v1: Any, job: Manifest) -> bool:
    metadata = job["metadata"]
    found = batch_v1.read_namespaced_job(metadata["name"], metadata["namespace"])
    return bool(found.spec.suspend)


def pods_of(core_v1: Any, job: Manifest) -> list[Any]:
    metadata = job["metadata"]
    selector = f"job-name={metadata['name']}"
    return list(core_v1.list_namespaced_pod(metadata["namespace"], label_selector=selector).items)


@contextmanager
def full(flow_runs: FlowRuns, core_v1: Any, priority: str = "routine") -> Iterator[Manifest]:
    """Have a flow run take the whole quota until the block ends."""
    job = queued(flow_runs, "sleep 600", priority=priority)

    def runs() -> bool:
        return any(pod.status.phase == "Running" for pod in pods_of(core_v1, job))

    wait_for(runs, "the flow run that takes the quota")
    yield job
    flow_runs.loop.run(flow_runs.cluster.delete_job(job))


def test_a_label_alone_has_a_flow_run_queued_and_one_with_room_costs_no_request_more(
    flow_runs: FlowRuns, queues: Queues, audit_log: AuditLog
) -> None:
    since = audit_log.position()
    job = queued(flow_runs, "echo ran")
    # By Kueue's webhook: the spec says nothing of it.
    assert job["spec"]["suspend"] is True
    assert flow_runs.wait(job, startup_timeout=60).status == "succeeded"
    assert flow_runs.lines == ["ran"]
    assert len(queues.workloads()) == 1
    own: dict[str, Any] = {"since": since, "user_agent": "flowjob/"}
    assert audit_log.count(resource="workloads", **own) == 0


def test_a_flow_run_without_room_says_what_it_waits_for_and_runs_once_there_is(
    flow_runs: FlowRuns,
    queues: Queues,
    core_v1: Any,
    audit_log: AuditLog,
    caplog: pytest.LogCaptureFixture,
) -> None:
    since = audit_log.position()
    with full(flow_runs, core_v1):
        job = queued(flow_runs, "echo ran")
        # Time in a queue is none of the start's.
        outcome = flow_runs.waiting(job, startup_timeout=8)
        name = job["metadata"]["name"]
        wait_for(
            lambda: f"The Job {name} waits in queue nightly: couldn't assign" in caplog.text,
            "a word about the queue",
        )
        assert "insufficient unused quota for cpu in flavor flows, 1 more needed" in caplog.text

        def asked() -> int:
            return audit_log.count(resource="workloads", since=since, user_agent="flowjob/")

        wait_for(lambda: asked() >= 4, "some more questions")
    assert outcome.result(60).status == "succeeded"
    assert flow_runs.lines == ["ran"]
    told = [line for line in caplog.messages if "waits in queue nightly" in line]
    # Each thing that is new once, though it was asked for again and again.
    assert len(told) == len(set(told)) <= 3
    assert told[0] == f"The Job {name} is suspended, and waits in queue nightly"


def test_one_that_is_preempted_and_admitted_again_is_one_flow_run_with_each_line_once(
    flow_runs: FlowRuns,
    queues: Queues,
    core_v1: Any,
    batch_v1: Any,
    namespace: str,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    job = twice(flow_runs, tmp_path)
    outcome = flow_runs.waiting(job, startup_timeout=60)
    wait_for(lambda: flow_runs.lines == ["first"], "the first pod")
    with full(flow_runs, core_v1, priority="urgent"):
        assert is_suspended(batch_v1, job)
        wait_for(lambda: "waits in queue nightly: " in caplog.text, "a word about the queue")
    assert outcome.result(60).status == "succeeded"
    assert flow_runs.lines == ["first", "second"]
    found = batch_v1.read_namespaced_job(job["metadata"]["name"], namespace)
    assert found.metadata.uid == job["metadata"]["uid"]
    told = [line for line in caplog.messages if line.startswith("Pod ")]
    begun = [line for line in told if "runs the flow on node" in line]
    assert len(begun) == len(set(begun)) == 2
    # What took its place, as Kueue tells it.
    assert "Preempted to accommodate a workload" in caplog.text


def test_a_trigger_waits_over_a_preemption_too_and_keeps_what_the_first_pod_has_written(
    flow_runs: FlowRuns,
    queues: Queues,
    core_v1: Any,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    job = twice(flow_runs, tmp_path)
    event = flow_runs.loop.start(only_event(trigger_of(job)))

    wait_for(lambda: "runs the flow on node" in caplog.text, "the first pod")
    wait_for((tmp_path / "seen").exists, "its line")
    with full(flow_runs, core_v1, priority="urgent"):
        wait_for(lambda: "waits in queue nightly: " in caplog.text, "a word about the queue")
    payload = event.result(60)
    assert payload["outcome"]["status"] == "succeeded"
    assert json.dumps(payload).count("first") == 1


@pytest.mark.parametrize("arguments", [{"exit_codes": {137, 143}}, {"wait_for": "flow"}], ids=str)
def test_a_pod_that_kueue_has_ended_is_not_the_end_of_the_flow(
    flow_runs: FlowRuns, queues: Queues, core_v1: Any, tmp_path: Path, arguments: dict[str, Any]
) -> None:
    # The end of an attempt is not that of its Job.
    job = twice(flow_runs, tmp_path, attempts=7)
    outcome = flow_runs.waiting(job, startup_timeout=60, **arguments)
    wait_for(lambda: flow_runs.lines == ["first"], "the first pod")
    with full(flow_runs, core_v1, priority="urgent"):
        pass
    assert outcome.result(60).status == "succeeded"
    assert flow_runs.lines == ["first", "second"]


@pytest.mark.parametrize(
    ("spec", "told", "remedy"),
    [
        ({"queue": "absent"}, "LocalQueue absent doesn't exist", "create the LocalQueue"),
        ({"cpu": "7"}, "insufficient quota for cpu in flavor flows", "lower the pod's"),
    ],
    ids=["no such queue", "more than there is"],
)
@pytest.mark.parametrize("deferred", [False, True], ids=["worker", "trigger"])
def test_one_that_can_never_be_admitted_fails_in_time_with_kueues_own_sentence(
    flow_runs: FlowRuns,
    queues: Queues,
    deferred: bool,
    spec: dict[str, Any],
    told: str,
    remedy: str,
) -> None:
    job = queued(flow_runs, "true", **spec)
    if deferred:
        event = flow_runs.loop.run(only_event(trigger_of(job, startup_timeout=6)))
        outcome = Outcome(**event["outcome"])
    else:
        outcome = flow_runs.wait(job, startup_timeout=6)
    assert outcome.status == "failed"
    queue = spec.get("queue", "nightly")
    assert str(outcome.message).startswith(f"not admitted in queue {queue}: ")
    assert told in str(outcome.message)
    assert "it has not been admitted in 6 s" in outcome.facts
    assert str(outcome.remedy).startswith(remedy)
    assert outcome.job_is_active


@pytest.mark.usefixtures("kueue")
def test_a_queue_that_comes_in_time_takes_a_flow_run_that_was_there_before_it(
    flow_runs: FlowRuns, cluster: Cluster, namespace: str
) -> None:
    job = queued(flow_runs, "echo ran")
    outcome = flow_runs.waiting(job, startup_timeout=20)
    Queues(cluster.kubeconfig, namespace).create()
    assert outcome.result(60).status == "succeeded"


def test_a_queue_that_somebody_has_stopped_holds_a_flow_run_for_as_long_as_they_like(
    flow_runs: FlowRuns, queues: Queues, caplog: pytest.LogCaptureFixture, audit_log: AuditLog
) -> None:
    queues.stop("Hold")
    since = audit_log.position()
    job = queued(flow_runs, "echo ran")
    outcome = flow_runs.waiting(job, startup_timeout=4)
    wait_for(lambda: "is stopped" in caplog.text or "is inactive" in caplog.text, "a word about it")

    def asked() -> int:
        return audit_log.count(resource="workloads", since=since, user_agent="flowjob/")

    wait_for(lambda: asked() >= 4, "more than its time to start")
    queues.stop("None")
    assert outcome.result(60).status == "succeeded"


def test_without_the_right_to_read_workloads_the_job_alone_tells_that_it_waits(
    flow_runs: FlowRuns,
    queues: Queues,
    cluster: Cluster,
    core_v1: Any,
    namespace: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    rules = [rule for rule in worker_rules() if "workloads" not in rule["resources"]]
    kubeconfig = restricted_kubeconfig(cluster.kubeconfig, namespace, "flow", rules, tmp_path)
    connection = connect(kubeconfig, monkeypatch, "restricted")
    with FlowRuns(connection, namespace, cluster.shell_image) as restricted:
        with full(flow_runs, core_v1):
            job = queued(restricted, "echo ran")
            outcome = restricted.waiting(job, startup_timeout=4)
            wait_for(lambda: "Kueue's Workloads are not read: HTTP 403" in caplog.text, "a word")
            assert "is suspended, and waits in queue nightly" in caplog.text
        assert outcome.result(60).status == "succeeded"


def worker_rules() -> list[dict[str, Any]]:
    role, _ = yaml.safe_load_all((DEPLOY / "rbac" / "worker.yaml").read_text())
    rules: list[dict[str, Any]] = role["rules"]
    return rules


def test_a_kill_in_the_queue_takes_the_job_and_its_workload_away(
    flow_runs: FlowRuns, queues: Queues, core_v1: Any, batch_v1: Any, namespace: str
) -> None:
    with full(flow_runs, core_v1):
        job = launch(flow_runs, other_flow_run())
        wait_for(lambda: len(queues.workloads()) == 2, "its Workload")
        execution = Execution(flow_runs.cluster)
        flow_runs.loop.run(execution.take(job))
        flow_runs.loop.run(execution.kill())
        with pytest.raises(FlowRunCancelledError):
            execution.raise_if_killed()
        wait_for(lambda: len(queues.workloads()) == 1, "its Workload to go")
        wait_for(lambda: len(batch_v1.list_namespaced_job(namespace).items) == 1, "the Job to go")


def test_a_later_try_adopts_the_job_that_waits_in_the_queue(
    flow_runs: FlowRuns, queues: Queues, core_v1: Any, batch_v1: Any, namespace: str
) -> None:
    flow_run = other_flow_run()
    with full(flow_runs, core_v1):
        job = launch(flow_runs, flow_run)
        assert is_suspended(batch_v1, job)
        later = replace(flow_run, flow_run_id=new_flow_run().flow_run_id, try_number=2)
        adopted = launch(flow_runs, later)
        assert adopted["metadata"]["uid"] == job["metadata"]["uid"]
        outcome = flow_runs.waiting(adopted, startup_timeout=30)
    assert outcome.result(60).status == "succeeded"
    assert flow_runs.lines == ["ran"]


def other_flow_run() -> FlowRun:
    """Return a flow run of another task than those that are only created."""
    return replace(new_flow_run(), task_instance=TaskInstanceKey("dag", "run", "other"))


def launch(flow_runs: FlowRuns, flow_run: FlowRun) -> Manifest:
    """Launch a flow run as a worker does."""
    manifest = flow_runs.manifest("echo ran", queued_spec(), flow_run)
    return flow_runs.loop.run(Execution(flow_runs.cluster).launch(flow_run, manifest, 5))


def test_urgent_flow_runs_are_admitted_before_those_that_came_earlier(
    flow_runs: FlowRuns, queues: Queues, core_v1: Any
) -> None:
    with full(flow_runs, core_v1, priority="urgent"):
        routine = queued(flow_runs, "echo routine")
        urgent = queued(flow_runs, "echo urgent", priority="urgent")
        outcomes = [flow_runs.waiting(job, startup_timeout=60) for job in (routine, urgent)]
    assert [outcome.result(60).status for outcome in outcomes] == ["succeeded", "succeeded"]
    assert flow_runs.lines == ["urgent", "routine"]


@pytest.mark.usefixtures("queues")
def test_while_kueue_is_away_a_create_is_tried_again_and_what_is_queued_is_waited_for(
    flow_runs: FlowRuns, kueue: Kueue, core_v1: Any, caplog: pytest.LogCaptureFixture
) -> None:
    with full(flow_runs, core_v1):
        held = queued(flow_runs, "echo held")
        outcome = flow_runs.waiting(held, startup_timeout=4)
        wait_for(lambda: "waits in queue nightly: " in caplog.text, "a word about the queue")
        kueue.kill()
        try:
            manifest = flow_runs.manifest("echo later", queued_spec())
            creation = flow_runs.loop.start(flow_runs.cluster.create_job(manifest))
            refused = 'failed calling webhook "mjob.kb.io"'
            wait_for(lambda: refused in caplog.text, "a word about the webhook")
        finally:
            kueue.start()
        job = creation.result(60)
    assert outcome.result(60).status == "succeeded"
    assert flow_runs.wait(job, startup_timeout=60).status == "succeeded"
    assert flow_runs.lines == ["held", "later"]
