"""A Python flow as the first process of its container, where signals and orphans are its own."""

from __future__ import annotations

import time
from typing import Any

import pytest
import yaml

from flowjob.launch.manifest import JobArguments, make_manifests
from flowjob.spec.job_spec import JobSpec
from tests.support.cluster import Cluster
from tests.support.flow_runs import SPEC, FlowRuns, Manifest, new_flow_run
from tests.support.wait import wait_for

CODE = """
import os, signal, subprocess, time

def works():
    print("up", flush=True)
    try:
        time.sleep(600)
    finally:
        print("the lock is given back", flush=True)

def is_killed():
    os.kill(os.getpid(), signal.SIGKILL)

def exits():
    raise SystemExit(7)

def others():
    own = {1, os.getpid()}
    return [name for name in os.listdir("/proc") if name.isdigit() and int(name) not in own]

def leaves_orphans():
    # Each of them has lost its parent when it ends.
    for _ in range(20):
        subprocess.run(["sh", "-c", "(sleep 0.2; true) &"], check=True)
    deadline = time.monotonic() + 20
    while others() and time.monotonic() < deadline:
        time.sleep(0.05)
    return {"left": len(others()), "code": subprocess.run(["false"]).returncode}
"""


@pytest.fixture
def python(flow_runs: FlowRuns, cluster: Cluster, core_v1: Any, namespace: str) -> Any:
    core_v1.create_namespaced_config_map(
        namespace, {"metadata": {"name": "code"}, "data": {"flow.py": CODE}}
    )
    content = yaml.safe_load(SPEC)
    pod = content["spec"]["template"]["spec"]
    pod["terminationGracePeriodSeconds"] = 60
    pod["volumes"] = [{"name": "code", "configMap": {"name": "code"}}]
    pod["containers"][0]["volumeMounts"] = [{"name": "code", "mountPath": "/code"}]

    def create(name: str) -> Manifest:
        manifests = make_manifests(
            new_flow_run(),
            JobSpec.from_text(yaml.safe_dump(content), "spec"),
            JobArguments(
                cluster.flow_image, f"flow:{name}", env={"PYTHONPATH": "/code"}, namespace=namespace
            ),
            airflow_variables={},
            cluster_namespace=None,
            connection=None,
        )
        return flow_runs.create(manifests.job)

    return create


def test_a_kill_lets_a_flow_clean_up_and_does_not_take_the_whole_grace_period(
    python: Any, flow_runs: FlowRuns, core_v1: Any, namespace: str
) -> None:
    job = python("works")
    killed: list[float] = []

    def delete(line: str) -> None:
        if line == "up":
            killed.append(time.monotonic())
            pods = core_v1.list_namespaced_pod(namespace).items
            core_v1.delete_namespaced_pod(pods[0].metadata.name, namespace)

    outcome = flow_runs.wait(job, on_line=delete)
    assert flow_runs.lines == ["up", "the lock is given back"]
    assert outcome.exit_code == 143
    wait_for(lambda: not core_v1.list_namespaced_pod(namespace).items, "the pod to be gone")
    assert time.monotonic() - killed[0] < 30


def test_what_a_flows_children_leave_behind_is_cleared_away(
    python: Any, flow_runs: FlowRuns
) -> None:
    outcome = flow_runs.wait(python("leaves_orphans"))
    assert outcome.termination_message == '{"left": 0, "code": 1}'


@pytest.mark.parametrize(("name", "code"), [("is_killed", 137), ("exits", 7)])
def test_the_flows_own_end_is_the_containers(
    python: Any, flow_runs: FlowRuns, name: str, code: int
) -> None:
    assert flow_runs.wait(python(name)).exit_code == code
