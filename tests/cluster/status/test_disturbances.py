"""What somebody or something else does to a flow run, and what a user is told of it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client

from flowjob.exceptions import JobRefusedError
from flowjob.flow_run import flow_run_selector
from flowjob.status.observation import Observation
from flowjob.status.outcome import Outcome
from flowjob.status.warnings import lost_pods, pod_warnings
from flowjob.wait.flow_run_watch import FlowRunWatch
from flowjob.wait.until_end import wait_for_end
from tests.support.access import restricted_kubeconfig
from tests.support.cluster import Cluster
from tests.support.flow_runs import SPEC, FlowRuns, Manifest, connect
from tests.support.node.configuration import NODE_NAME
from tests.support.node.node import Node
from tests.support.suspended_jobs import complete, suspended_job
from tests.support.wait import wait_for

ENDLESS = "echo up; sleep 60"


def see_end(runs: FlowRuns, job: Manifest) -> tuple[Observation, Outcome]:
    """Wait for the Job's end, and return what was seen then and what it means."""

    async def wait() -> tuple[Observation, Outcome]:
        namespace = job["metadata"]["namespace"]
        async with FlowRunWatch(runs.cluster, namespace, flow_run_selector(job)) as watch:
            return await wait_for_end(
                runs.cluster,
                watch,
                job,
                lambda seen: None,
                startup_timeout=None,
                wait_for="job",
            )

    return runs.loop.run(wait())


def warnings_of(observation: Observation) -> str:
    return " ".join(line for pod in observation.pods.values() for _, line in pod_warnings(pod))


@contextmanager
def tainted(core_v1: Any, effect: str) -> Iterator[None]:
    """Taint the node for a while."""
    taint = {"key": "example.com/maintenance", "effect": effect}
    core_v1.patch_node(NODE_NAME, {"spec": {"taints": [taint]}})
    try:
        yield
    finally:
        core_v1.patch_node(NODE_NAME, {"spec": {"taints": None}})
        wait_for(lambda: not core_v1.read_node(NODE_NAME).spec.taints, "the node without a taint")


# --- the node -----------------------------------------------------------------------------------


def test_a_node_that_is_tainted_is_told_with_the_toleration_that_helps(
    flow_runs: FlowRuns, own_node: Node, core_v1: Any
) -> None:
    with tainted(core_v1, "NoSchedule"):
        job = flow_runs.create(flow_runs.manifest("true"))
        outcome = flow_runs.wait(job, startup_timeout=3)
    assert outcome.reason == "Unschedulable"
    assert "had untolerated taint" in (outcome.message or "")
    assert outcome.remedy == "add a toleration of the taint to the pod"


def test_a_flow_whose_node_is_lost_is_told_so_and_how_it_runs_again(
    flow_runs: FlowRuns, own_node: Node, core_v1: Any
) -> None:
    with ExitStack() as ending:
        outcome = flow_runs.wait(
            flow_runs.create(flow_runs.manifest(ENDLESS)),
            lambda line: ending.enter_context(tainted(core_v1, "NoExecute")),
        )
    assert (outcome.reason, outcome.node) == ("DeletionByTaintManager", NODE_NAME)
    assert "was taken away: Taint manager: deleting due to NoExecute" in (outcome.message or "")
    assert "give the task retries" in (outcome.remedy or "")


def test_a_flow_that_makes_room_for_a_more_important_one_is_told_so(
    flow_runs: FlowRuns, own_node: Node, core_v1: Any, batch_v1: Any, namespace: str
) -> None:
    scheduling = client.SchedulingV1Api(core_v1.api_client)
    important = scheduling.create_priority_class(
        {"metadata": {"generateName": "test-"}, "value": 1000}
    ).metadata.name
    cpus = float(core_v1.read_node(NODE_NAME).status.allocatable["cpu"])

    def most_of_the_node(script: str, **pod: Any) -> Manifest:
        manifest = flow_runs.manifest(script)
        spec = manifest["spec"]["template"]["spec"]
        spec.update(pod)
        spec["containers"][0]["resources"] = {"requests": {"cpu": str(0.75 * cpus)}}
        return manifest

    rival = most_of_the_node("true", priorityClassName=important)
    try:
        outcome = flow_runs.wait(
            flow_runs.create(most_of_the_node(ENDLESS)),
            lambda line: batch_v1.create_namespaced_job(namespace, rival),
        )
    finally:
        scheduling.delete_priority_class(important)
    assert outcome.reason == "PreemptionByScheduler"
    assert "preempting to accommodate a higher priority pod" in (outcome.message or "")


# --- the Job ------------------------------------------------------------------------------------


def test_a_job_that_stays_suspended_is_waited_for_longer_than_a_start_may_take(
    flow_runs: FlowRuns, batch_v1: Any
) -> None:
    job = suspended_job(flow_runs)
    end = threading.Timer(4, complete, (batch_v1, job))
    end.start()
    assert flow_runs.wait(job, startup_timeout=1).status == "succeeded"
    end.join()


def test_a_job_that_is_suspended_while_it_runs_is_waited_for_until_it_is_released(
    flow_runs: FlowRuns, batch_v1: Any, namespace: str, caplog: pytest.LogCaptureFixture
) -> None:
    job = flow_runs.create(flow_runs.manifest("echo up; sleep 4"))
    name = job["metadata"]["name"]

    def release() -> None:
        def is_idle() -> bool:
            status = batch_v1.read_namespaced_job(name, namespace).status
            return bool(status.conditions) and not status.active and not status.terminating

        wait_for(is_idle, "the Job to be suspended")
        batch_v1.patch_namespaced_job(name, namespace, {"spec": {"suspend": False}})

    releasing = threading.Thread(target=release)

    def suspend(line: str) -> None:
        if not releasing.ident:
            batch_v1.patch_namespaced_job(name, namespace, {"spec": {"suspend": True}})
            releasing.start()

    outcome = flow_runs.wait(job, suspend, startup_timeout=60)
    releasing.join()
    assert (outcome.status, outcome.exit_code) == ("succeeded", 0)
    assert f"The Job {name} is suspended, and waited for" in caplog.text


def test_a_job_that_was_collected_before_anybody_looked_is_told_with_its_time_to_live(
    flow_runs: FlowRuns, batch_v1: Any, namespace: str
) -> None:
    spec = SPEC.replace("backoffLimit: 0", "ttlSecondsAfterFinished: 0")
    job = flow_runs.create(flow_runs.manifest("true", spec))
    wait_for(lambda: not batch_v1.list_namespaced_job(namespace).items, "the Job to be collected")
    # As for who has not created it: a watch from then on shows what became of it.
    del job["metadata"]["resourceVersion"]
    outcome = flow_runs.wait(job)
    assert (outcome.status, outcome.reason) == ("failed", "JobDeleted")
    assert "its ttlSecondsAfterFinished: 0 s may be too short" in outcome.facts[0]


def test_a_job_that_was_collected_is_known_to_have_succeeded_by_who_created_it(
    flow_runs: FlowRuns,
    batch_v1: Any,
    namespace: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    spec = SPEC.replace("backoffLimit: 0", "ttlSecondsAfterFinished: 0")
    job = flow_runs.create(flow_runs.manifest("true", spec))
    wait_for(lambda: not batch_v1.list_namespaced_job(namespace).items, "the Job to be collected")
    assert flow_runs.wait(job).status == "succeeded"
    assert "is Complete, but its pods are gone, or may not be read" in caplog.text


def test_a_job_whose_pods_are_gone_has_succeeded_and_what_is_lost_is_told(
    flow_runs: FlowRuns, core_v1: Any, batch_v1: Any, namespace: str
) -> None:
    job = flow_runs.create(flow_runs.manifest("true"))
    name = job["metadata"]["name"]
    observation, outcome = see_end(flow_runs, job)
    assert (outcome.exit_code, lost_pods(observation)) == (0, None)
    core_v1.delete_collection_namespaced_pod(namespace)
    wait_for(lambda: not core_v1.list_namespaced_pod(namespace).items, "the pods to be gone")
    observation, outcome = see_end(flow_runs, job)
    assert (outcome.status, outcome.exit_code) == ("succeeded", None)
    assert (lost_pods(observation) or "").startswith(f"The Job {name} is Complete, but its pods")


# --- a flow that succeeds although something of it failed ---------------------------------------


def test_a_result_is_not_taken_where_a_process_of_the_flow_ran_out_of_memory(
    flow_runs: FlowRuns,
) -> None:
    manifest = flow_runs.manifest("echo 12 > /dev/termination-log; tail /dev/zero; exit 0")
    container = manifest["spec"]["template"]["spec"]["containers"][0]
    container["resources"] = {"limits": {"memory": "16Mi"}}
    observation, outcome = see_end(flow_runs, flow_runs.create(manifest))
    assert (outcome.status, outcome.exit_code) == ("succeeded", 0)
    assert outcome.termination_message == ""
    told = "ended with exit code 0, but the reason OOMKilled (limit 16Mi): what it left"
    assert told in warnings_of(observation)


def test_a_sidecar_that_crashes_again_and_again_is_told_though_the_flow_succeeds(
    flow_runs: FlowRuns,
) -> None:
    manifest = flow_runs.manifest("until [ -e /shared/again ]; do sleep 0.1; done")
    pod = manifest["spec"]["template"]["spec"]
    container = pod["containers"][0]
    container["volumeMounts"] = [{"name": "shared", "mountPath": "/shared"}]
    crash = "[ -e /shared/once ] && touch /shared/again; touch /shared/once; exit 5"
    pod["volumes"] = [{"name": "shared", "emptyDir": {}}]
    pod["initContainers"] = [
        {
            **container,
            "name": "proxy",
            "command": ["sh", "-c", crash],
            "restartPolicy": "Always",
        }
    ]
    observation, outcome = see_end(flow_runs, flow_runs.create(manifest))
    assert (outcome.status, outcome.exit_code) == ("succeeded", 0)
    told = "Init container 'proxy' ended with exit code 5, in pod 'test-"
    assert warnings_of(observation).startswith(told)
    assert "; restarts so far: " in warnings_of(observation)


# --- the API server -----------------------------------------------------------------------------


def test_a_namespace_that_does_not_exist_is_named(flow_runs: FlowRuns) -> None:
    manifest = flow_runs.manifest("true")
    manifest["metadata"]["namespace"] = "absent"
    with pytest.raises(JobRefusedError) as refused:
        flow_runs.create(manifest)
    told = "in namespace 'absent': NotFound: namespaces \"absent\" not found (create the namespace"
    assert told in str(refused.value)


def test_a_right_that_is_missing_is_named_with_verb_and_resource_and_nothing_of_the_spec(
    cluster: Cluster, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules = [{"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["get", "list", "watch"]}]
    path = restricted_kubeconfig(cluster.kubeconfig, namespace, "reader", rules, tmp_path)
    connection = connect(path, monkeypatch, "reader")
    with FlowRuns(connection, namespace, cluster.shell_image) as runs:
        manifest = runs.manifest("echo s3cret")
        with pytest.raises(JobRefusedError) as refused:
            runs.create(manifest)
    told = str(refused.value)
    assert f'User "system:serviceaccount:{namespace}:reader" cannot create resource "jobs"' in told
    assert told.endswith("(grant it to the user of the Airflow connection by an RBAC Role)")
    assert "s3cret" in json.dumps(manifest)
    assert "s3cret" not in told
