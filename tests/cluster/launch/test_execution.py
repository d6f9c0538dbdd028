"""Creating the Job of a flow run: once, as the user wrote it, or with a clear refusal."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from flowjob.exceptions import JobRefusedError
from flowjob.launch.execution import Execution
from tests.support.access import restricted_kubeconfig
from tests.support.cluster import Cluster
from tests.support.flow_runs import SPEC, FlowRuns, connect, new_flow_run
from tests.support.node.node import Node
from tests.support.reverse_proxy import ReverseProxy
from tests.support.wait import wait_for


def test_the_same_flow_run_created_again_is_the_same_job(
    flow_runs: FlowRuns, batch_v1: Any, namespace: str
) -> None:
    manifest = flow_runs.manifest("true")
    with ThreadPoolExecutor(8) as threads:
        jobs = list(threads.map(flow_runs.create, [manifest] * 8))
    assert len({job["metadata"]["uid"] for job in jobs}) == 1
    assert len(batch_v1.list_namespaced_job(namespace).items) == 1


def test_a_name_that_belongs_to_another_flow_run_is_refused_and_its_owner_named(
    flow_runs: FlowRuns,
) -> None:
    first, second = flow_runs.manifest("true"), flow_runs.manifest("true")
    second["metadata"]["name"] = first["metadata"]["name"]
    flow_runs.create(first)
    with pytest.raises(JobRefusedError, match=first["metadata"]["labels"]["flow_run_id"]):
        flow_runs.create(second)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("name: flow-container", "name: flow-container, imagePulPolicy: Never", "imagePulPolicy"),
        ("backoffLimit: 0", "backofLimit: 0", "spec.backofLimit"),
        ("backoffLimit: 0", "backoffLimit: -1", "spec.backoffLimit"),
        ("restartPolicy: Never", "restartPolicy: Always", "spec.template.spec.restartPolicy"),
        ("backoffLimit: 0", "backoffLimit: none", "backoffLimit of type int32"),
        ("name: flow-container", "name: FLOW", "spec.template.spec.containers[0].name"),
    ],
)
def test_a_refused_job_names_the_field_and_repeats_nothing_of_the_spec(
    flow_runs: FlowRuns, batch_v1: Any, namespace: str, old: str, new: str, told: str
) -> None:
    spec = SPEC.replace(old, new)
    assert spec != SPEC
    with pytest.raises(JobRefusedError) as raised:
        flow_runs.create(flow_runs.manifest("echo s3cret", spec))
    message = str(raised.value)
    assert told in message
    assert "s3cret" not in message
    assert "\n" not in message
    assert batch_v1.list_namespaced_job(namespace).items == []


def test_a_missing_right_is_named(
    cluster: Cluster,
    core_v1: Any,
    namespace: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kubeconfig = restricted_kubeconfig(cluster.kubeconfig, namespace, "nobody", [], tmp_path)
    connection = connect(kubeconfig, monkeypatch)
    with FlowRuns(connection, namespace, cluster.shell_image) as runs:
        manifest = runs.manifest("true")
        with pytest.raises(JobRefusedError, match='cannot create resource "jobs"'):
            runs.create(manifest)


def test_a_missing_namespace_is_named(flow_runs: FlowRuns) -> None:
    manifest = flow_runs.manifest("true")
    manifest["metadata"]["namespace"] = "nowhere"
    with pytest.raises(JobRefusedError, match='namespaces "nowhere" not found'):
        flow_runs.create(manifest)


def test_a_minimal_image_without_python_runs_a_flow(flow_runs: FlowRuns) -> None:
    outcome = flow_runs.run("echo '{\"rows\": 3}' > /dev/termination-log")
    assert (outcome.status, outcome.termination_message) == ("succeeded", '{"rows": 3}\n')


def test_an_overloaded_api_server_is_asked_again_when_it_wants_to_be(
    own_node: Node,
    cluster: Cluster,
    namespace: str,
    batch_v1: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with ReverseProxy(cluster.kubeconfig, tmp_path) as proxy:
        connection = connect(proxy.kubeconfig, monkeypatch, "proxied")
        holds = [proxy.hold_request("POST", "/jobs") for _ in range(3)]
        with (
            FlowRuns(connection, namespace, cluster.shell_image) as runs,
            ThreadPoolExecutor(1) as threads,
        ):
            created = threads.submit(runs.create, runs.manifest("true"))
            holds[0].wait_until_reached()
            holds[0].refuse(500)
            holds[1].wait_until_reached()
            refused = time.monotonic()
            holds[1].refuse(429, **{"Retry-After": "3"})
            holds[2].wait_until_reached()
            assert time.monotonic() - refused >= 3
            holds[2].let_go()
            created.result(30)
    assert len(batch_v1.list_namespaced_job(namespace).items) == 1


def test_a_job_of_the_same_name_that_is_being_deleted_is_waited_out(
    flow_runs: FlowRuns, batch_v1: Any, core_v1: Any, namespace: str
) -> None:
    flow_run = new_flow_run()
    spec = SPEC.replace("GracePeriodSeconds: 1", "GracePeriodSeconds: 4")
    manifest = flow_runs.manifest("trap '' TERM; sleep 60 & wait; wait", spec, flow_run)
    first = flow_runs.create(manifest)

    def pod_runs() -> bool:
        pods = core_v1.list_namespaced_pod(namespace).items
        return bool(pods) and pods[0].status.phase == "Running"

    wait_for(pod_runs, "the pod to run")
    batch_v1.delete_namespaced_job(
        first["metadata"]["name"], namespace, propagation_policy="Foreground"
    )
    second = flow_runs.loop.run(Execution(flow_runs.cluster).launch(flow_run, manifest))
    assert second["metadata"]["name"] == first["metadata"]["name"]
    assert second["metadata"]["uid"] != first["metadata"]["uid"]
