"""Prefect flows in pods of their own, without a Prefect server."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from flowjob.flows import PrefectFlow
from flowjob.launch.manifest import JobArguments, make_manifests
from flowjob.spec.job_spec import JobSpec
from flowjob.status.outcome import Outcome
from flowjob.status.result import parse_result
from tests.support.cluster import Cluster
from tests.support.flow_runs import SPEC, FlowRuns, new_flow_run
from tests.support.node.node import Node
from tests.support.prefect import import_prefect_image

FLOWS = Path(__file__).parents[2] / "prefect" / "flows"
# A user that the image does not know, and a file system that it may not write to but for /tmp.
RESTRICTED = {
    "runAsUser": 12345,
    "runAsNonRoot": True,
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
}


@pytest.fixture(scope="module")
def image(cluster: Cluster) -> Callable[[str], str]:
    """Return the image with Prefect of a generation; it takes seconds to import one."""
    assert cluster.node is not None  # deselected otherwise
    return cache(partial(import_prefect_image, cluster.node))


@pytest.fixture
def run(
    own_node: Node,
    flow_runs: FlowRuns,
    core_v1: Any,
    namespace: str,
    image: Callable[[str], str],
) -> Any:
    code = {path.name: path.read_text() for path in FLOWS.glob("*.py")}
    core_v1.create_namespaced_config_map(namespace, {"metadata": {"name": "code"}, "data": code})
    core_v1.create_namespaced_secret(
        namespace, {"metadata": {"name": "crm"}, "stringData": {"password": "pass"}}
    )
    content = yaml.safe_load(SPEC)
    pod = content["spec"]["template"]["spec"]
    pod["terminationGracePeriodSeconds"] = 60
    pod["volumes"] = [
        {"name": "code", "configMap": {"name": "code"}},
        {"name": "tmp", "emptyDir": {}},
    ]
    pod["containers"][0]["volumeMounts"] = [
        {"name": "code", "mountPath": "/code"},
        {"name": "tmp", "mountPath": "/tmp"},
    ]
    pod["containers"][0]["securityContext"] = RESTRICTED

    def run(
        generation: str,
        flow: str,
        parameters: Mapping[str, Any] | None = None,
        on_line: Any = lambda line: None,
    ) -> Outcome:
        secret = {"secretKeyRef": {"name": "crm", "key": "password"}}
        manifest = make_manifests(
            new_flow_run(),
            JobSpec.from_text(yaml.safe_dump(content), "spec"),
            JobArguments(
                image(generation),
                PrefectFlow(flow),
                parameters=parameters or {},
                env={"PYTHONPATH": "/code", "PREFECT__CONTEXT__SECRETS__CRM": secret},
                namespace=namespace,
            ),
            airflow_variables={
                "AIRFLOW_CTX_DATA_INTERVAL_START": "2026-01-05T00:00:00+00:00",
                "AIRFLOW_CTX_DATA_INTERVAL_END": "2026-01-06T00:00:00+00:00",
            },
            cluster_namespace=None,
            connection=None,
        ).job
        return flow_runs.wait(flow_runs.create(manifest), on_line=on_line)

    return run


def test_a_flow_of_the_references_prefect_runs_and_has_its_result_and_its_secret(
    run: Any, flow_runs: FlowRuns
) -> None:
    assert parse_result(run("0.15", "made_of_tasks:example")) == {"output_value": None}
    assert "Example!" in flow_runs.lines
    told = parse_result(run("0.15", "made_of_tasks:in_context"))["tell_context"]
    assert told["secret"] == "pass"
    assert told["scheduled_start_time"] == "2026-01-06T00:00:00+00:00"


def test_a_failed_task_is_named_in_the_one_sentence(run: Any) -> None:
    outcome = run("0.15", "made_of_tasks:failing")
    assert outcome.exit_code == 1
    told = "ended with exit code 1: task 'divide' failed: ZeroDivisionError: division by zero"
    assert outcome.message == told


def test_a_kill_lets_a_task_clean_up_and_does_not_take_the_whole_grace_period(
    run: Any, flow_runs: FlowRuns, core_v1: Any, namespace: str
) -> None:
    def delete(line: str) -> None:
        if line == "up":
            pods = core_v1.list_namespaced_pod(namespace).items
            core_v1.delete_namespaced_pod(pods[0].metadata.name, namespace)

    outcome = run("0.15", "made_of_tasks:sleeps", on_line=delete)
    assert flow_runs.lines[-1] == "the lock is given back"
    assert outcome.exit_code == 143


def test_a_flow_of_prefect_3_runs_in_a_pod_that_may_next_to_nothing(
    run: Any, flow_runs: FlowRuns
) -> None:
    result = parse_result(run("3", "functions:example"))
    assert result["home"].startswith("/tmp/prefect-")
    assert result["data_interval_end"] == "2026-01-06T00:00:00+00:00"
    assert "Example!" in flow_runs.lines
