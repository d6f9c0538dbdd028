"""A container that the cluster puts before the flow's own is not taken for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from kubernetes import client, config

from flowjob.exceptions import ResultError
from flowjob.logs.collect import collect_logs
from flowjob.logs.selection import LogSelection
from flowjob.status.result import parse_result
from flowjob.wait.read_again import read_outcome
from flowjob.worker.trigger_event import outcome_of_event
from tests.support.cluster import Cluster
from tests.support.flow_runs import FlowRuns
from tests.support.triggers import only_event, trigger_of
from tests.support.wait import wait_for

# The policies that inject are served since then.
pytestmark = pytest.mark.kubernetes(36)

# Injects two containers before all others, as service meshes and volume drivers do.
INJECTION = """
[JSONPatch{{op: "add", path: "/spec/containers/0", value: Object.spec.containers{{
    name: "mesh-proxy", image: "{image}", command: ["sh", "-c", "echo the proxy; {script}"]}}}},
 JSONPatch{{op: "add", path: "/spec/containers/1", value: Object.spec.containers{{
    name: "mesh-agent", image: "{image}", command: ["true"]}}}}]
"""
FLOW = "echo the flow; echo '[1]' > /dev/termination-log"


@pytest.fixture(params=["exit 0", "sleep 3600"], ids=["proxy ends", "proxy stays"])
def script(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def mesh(cluster: Cluster, namespace: str, script: str, core_v1: Any) -> Iterator[None]:
    """Inject containers into each pod of the namespace."""
    api = client.AdmissionregistrationV1Api(config.new_client_from_config(str(cluster.kubeconfig)))
    expression = INJECTION.format(image=cluster.shell_image, script=script)
    mine = {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
    pods = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"]}
    spec = {
        "failurePolicy": "Fail",
        "reinvocationPolicy": "Never",
        "matchConstraints": {
            "namespaceSelector": mine,
            "resourceRules": [{**pods, "resources": ["pods"]}],
        },
        "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": expression}}],
    }
    metadata = {"name": namespace}
    api.create_mutating_admission_policy({"metadata": metadata, "spec": spec})
    api.create_mutating_admission_policy_binding(
        {"metadata": metadata, "spec": {"policyName": namespace}}
    )

    def injects() -> bool:
        pod = {
            "metadata": {"generateName": "probe-"},
            "spec": {"containers": [{"name": "probe", "image": "none"}]},
        }
        made = core_v1.create_namespaced_pod(namespace, pod, dry_run="All")
        return len(made.spec.containers) == 3

    wait_for(injects, "the policy to be known")
    yield
    api.delete_mutating_admission_policy_binding(namespace)
    api.delete_mutating_admission_policy(namespace)


@pytest.mark.usefixtures("mesh")
def test_a_worker_tells_the_flows_own_lines_result_and_end(flow_runs: FlowRuns) -> None:
    outcome = flow_runs.wait(flow_runs.create(flow_runs.manifest(FLOW)), wait_for="flow")
    assert (outcome.exit_code, parse_result(outcome)) == (0, [1])
    assert [line for line in flow_runs.lines if "[mesh-proxy]" not in line] == ["the flow"]


@pytest.mark.usefixtures("mesh")
def test_a_triggers_worker_tells_the_flows_own_lines_result_and_end(flow_runs: FlowRuns) -> None:
    job = flow_runs.create(flow_runs.manifest(FLOW))
    trigger = trigger_of(job, flow_container="flow-container", wait_for="flow")
    payload = flow_runs.loop.run(only_event(trigger))
    read = flow_runs.loop.run(read_outcome(flow_runs.cluster, payload["job"]))
    outcome = outcome_of_event(payload, read)
    assert outcome is not None
    assert (outcome.exit_code, parse_result(outcome)) == (0, [1])
    lines: list[str] = []
    flow_runs.loop.run(
        collect_logs(
            flow_runs.cluster, payload["job"], LogSelection(), lines.append, {}, is_over=True
        )
    )
    assert [line for line in lines if "[mesh-proxy]" not in line] == ["the flow"]


@pytest.mark.usefixtures("mesh")
@pytest.mark.parametrize("script", ["exit 0"])
def test_a_result_that_is_cut_as_containers_were_injected_is_told_to_be_cut(
    flow_runs: FlowRuns, cluster: Cluster
) -> None:
    # With the two that were injected there are five: 2,457 bytes for each, not 4,096.
    side = {"image": cluster.shell_image, "command": ["true"]}
    manifest = flow_runs.manifest("yes '1' | head -c 3000 > /dev/termination-log")
    pod = manifest["spec"]["template"]["spec"]
    pod["containers"] += [{"name": "one", **side}, {"name": "two", **side}]
    outcome = flow_runs.wait(flow_runs.create(manifest))
    with pytest.raises(ResultError, match="its result has 2457 bytes or more"):
        parse_result(outcome)
