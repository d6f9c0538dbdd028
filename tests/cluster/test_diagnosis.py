"""Why a flow run failed or does not start, in one sentence, as a real node shows it."""

from __future__ import annotations

import copy
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest
import yaml

from flowjob.outcome import Outcome
from tests.cluster.fixtures import Cluster
from tests.cluster.flow_runs import FlowRuns, connect
from tests.cluster.wait import wait_for

# The causes are told in the words of this version of Kubernetes, and of this one node.
pytestmark = pytest.mark.usefixtures("own_node")

MISSING_IMAGE = "127.0.0.1:1/x"
# Seconds that a case may take to start, where it does not start at all. With all cases at once, a
# kubelet takes some seconds to write what became of each pod.
STARTUP_TIMEOUT = 20


@dataclass
class Case:
    """A Job that fails, and what is said of it."""

    reason: str
    told: str
    script: str = "sleep 60"
    job: dict[str, Any] = field(default_factory=dict)
    pod: dict[str, Any] = field(default_factory=dict)
    container: dict[str, Any] = field(default_factory=dict)
    exit_code: int | None = None
    # Whether it waits for what may heal, for as long as that is allowed.
    waits: bool = False


CASES = {
    "exit code": Case("Error", "exit code 3 (Error)", "exit 3", exit_code=3),
    "signal": Case("Error", "exit code 139 (SIGSEGV)", "exit 139", exit_code=139),
    "termination message": Case(
        "Error",
        "(Error): no such region",
        "echo no such region > /dev/termination-log; exit 1",
        exit_code=1,
    ),
    "out of memory": Case(
        "OOMKilled",
        "ran out of memory (its limit is 16Mi)",
        "tail /dev/zero",
        container={"resources": {"limits": {"memory": "16Mi"}}},
        exit_code=137,
    ),
    "missing image": Case(
        "ErrImagePull ImagePullBackOff",
        "cannot start",
        container={"image": MISSING_IMAGE},
        waits=True,
    ),
    "invalid image name": Case("InvalidImageName", "cannot start", container={"image": "A:b:c"}),
    "missing config map": Case(
        "CreateContainerConfigError",
        'configmap "absent" not found',
        container={"envFrom": [{"configMapRef": {"name": "absent"}}]},
        waits=True,
    ),
    "missing volume": Case(
        "FailedMount",
        'secret "absent" not found',
        pod={"volumes": [{"name": "v", "secret": {"secretName": "absent"}}]},
        container={"volumeMounts": [{"name": "v", "mountPath": "/v"}]},
        waits=True,
    ),
    "missing service account": Case(
        "FailedCreate",
        'serviceaccount "absent" not found',
        pod={"serviceAccountName": "absent"},
        waits=True,
    ),
    "command not found": Case(
        "StartError", "could not start", container={"command": ["/absent"]}, job={"backoffLimit": 6}
    ),
    "too large": Case(
        "Unschedulable",
        "Insufficient cpu",
        container={"resources": {"requests": {"cpu": "1000"}}},
        waits=True,
    ),
    "node selector": Case(
        "Unschedulable", "is not scheduled", pod={"nodeSelector": {"absent": "x"}}, waits=True
    ),
    "scheduling gate": Case(
        "SchedulingGated",
        "is not scheduled",
        pod={"schedulingGates": [{"name": "x/y"}]},
        waits=True,
    ),
    "deadline of the job": Case(
        "DeadlineExceeded", "activeDeadlineSeconds", job={"activeDeadlineSeconds": 3}
    ),
    "deadline of the pod": Case(
        "DeadlineExceeded", "Pod was active on the node longer", pod={"activeDeadlineSeconds": 3}
    ),
    "pod failure policy": Case(
        "PodFailurePolicy",
        "exit code 42",
        "exit 42",
        job={
            "podFailurePolicy": {
                "rules": [{"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}}]
            },
            "backoffLimit": 6,
        },
        exit_code=42,
    ),
    "refused by the kubelet": Case(
        "OutOfcpu",
        "on node 'localhost' failed",
        pod={"nodeName": "localhost"},
        container={"resources": {"requests": {"cpu": "1000"}}},
    ),
    "init container": Case(
        "Error",
        "container 'first' of pod",
        pod={
            "initContainers": [
                {"name": "first", "image": "IMAGE", "command": ["sh", "-c", "exit 9"]}
            ]
        },
    ),
    "sidecar": Case(
        "Error",
        "ended with exit code 5 (Error); the flow's own container did not fail",
        "true",
        pod={"more": [{"name": "side", "image": "IMAGE", "command": ["sh", "-c", "exit 5"]}]},
    ),
    "no pods wanted": Case(
        "NoParallelism", "its parallelism is 0", job={"parallelism": 0}, waits=True
    ),
    "another controller": Case(
        "ManagedBy", "example.com/other", job={"managedBy": "example.com/other"}, waits=True
    ),
}


def spec_of(case: Case, image: str) -> str:
    container = {"name": "flow-container"}
    pod = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 1, **copy.deepcopy(case.pod)}
    more = pod.pop("more", [])
    pod["containers"] = [container, *more]
    job = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "test"},
        "spec": {"backoffLimit": 0, **case.job, "template": {"spec": pod}},
    }
    return yaml.safe_dump(job).replace("IMAGE", image)


@pytest.fixture(scope="module")
def outcomes(
    cluster: Cluster, core_v1: Any, batch_v1: Any
) -> Iterator[dict[str, tuple[Outcome, float]]]:
    """The outcome of each case and the seconds that it took, all run at once."""
    name = core_v1.create_namespace({"metadata": {"generateName": "test-"}}).metadata.name
    wait_for(lambda: core_v1.list_namespaced_service_account(name).items, "the service account")
    with pytest.MonkeyPatch.context() as patch:
        connection = connect(cluster.kubeconfig, patch)
        with FlowRuns(connection, name, cluster.shell_image) as runs:

            def run(case: Case) -> tuple[Outcome, float]:
                manifest = runs.manifest(case.script, spec_of(case, cluster.shell_image))
                manifest["spec"]["template"]["spec"]["containers"][0].update(case.container)
                started = time.monotonic()
                outcome = runs.wait(runs.create(manifest), startup_timeout=STARTUP_TIMEOUT)
                return outcome, time.monotonic() - started

            with ThreadPoolExecutor(len(CASES)) as threads:
                yield dict(zip(CASES, threads.map(run, CASES.values()), strict=True))
    core_v1.delete_namespace(name)
    core_v1.delete_collection_namespaced_pod(name, grace_period_seconds=1)


@pytest.mark.parametrize("name", CASES)
def test_a_failure_is_told_in_one_sentence(
    outcomes: dict[str, tuple[Outcome, float]], name: str
) -> None:
    case, (outcome, seconds) = CASES[name], outcomes[name]
    assert outcome.status == "failed"
    assert outcome.reason in case.reason.split()
    assert case.told in (outcome.message or "")
    assert "\n" not in (outcome.message or "")
    if case.exit_code is not None:
        assert outcome.exit_code == case.exit_code
    if case.waits:
        # Kubernetes tells times in whole seconds.
        assert seconds > STARTUP_TIMEOUT - 1
        assert f"has not started in {STARTUP_TIMEOUT} s" in (outcome.message or "")
    cannot_heal = name in ("invalid image name", "command not found")
    assert outcome.job_is_active == (case.waits or cannot_heal)
