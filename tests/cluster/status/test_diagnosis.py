"""Why a flow run failed or does not start, at a glance, as a real node shows it."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import yaml

from flowjob.status.explanation import explain_failure
from flowjob.status.outcome import Outcome
from tests.support.cluster import Cluster
from tests.support.flow_runs import FlowRuns, Manifest, connect
from tests.support.registry import refusing_registry
from tests.support.wait import wait_for

# The causes are told in the words of this version of Kubernetes, and of this one node.
pytestmark = pytest.mark.usefixtures("own_node")

MISSING_IMAGE = "127.0.0.1:1/x"
# Seconds that a case may take to start, where it does not start at all. With all cases at once, a
# kubelet takes some seconds to write what became of each pod.
STARTUP_TIMEOUT = 40
# Says that it is up, so that it can be disturbed.
ENDLESS = "echo up; sleep 60"
# Of the namespaces that the cases run in.
PLAIN, QUOTA, RESTRICTED = "plain", "quota", "restricted"


@dataclass
class Case:
    """A Job that fails, and what is said of it at a glance."""

    reason: str
    told: str
    script: str = "sleep 60"
    job: dict[str, Any] = field(default_factory=dict)
    pod: dict[str, Any] = field(default_factory=dict)
    container: dict[str, Any] = field(default_factory=dict)
    exit_code: int | None = None
    # Words of the hint, and of a further fact.
    remedy: str = ""
    fact: str = ""
    # Is done to the Job's only pod once the flow has said something.
    disturb: Callable[[Any, str, str], object] | None = None
    namespace: str = PLAIN
    # Whether it waits for what may heal, for as long as that is allowed.
    waits: bool = False


def evict(core_v1: Any, pod: str, namespace: str) -> None:
    core_v1.create_namespaced_pod_eviction(pod, namespace, {"metadata": {"name": pod}})


def delete(core_v1: Any, pod: str, namespace: str) -> None:
    core_v1.delete_namespaced_pod(pod, namespace)


def init_container(script: str, **more: Any) -> dict[str, Any]:
    container = {"name": "first", "image": "IMAGE", "command": ["sh", "-c", script], **more}
    return {"initContainers": [container]}


# The runtime listens for such kills only a moment after a container has started.
OUT_OF_MEMORY = "sleep 2; tail /dev/zero; exit 137"

CASES = {
    "exit code": Case("Error", "ended with exit code 3", "exit 3", exit_code=3),
    "signal": Case("Error", "exit code 139 (SIGSEGV)", "exit 139", exit_code=139),
    "termination message": Case(
        "Error",
        "ended with exit code 1: no such region",
        "echo no such region > /dev/termination-log; exit 1",
        exit_code=1,
    ),
    "out of memory": Case(
        "OOMKilled",
        "ran out of memory (limit 16Mi)",
        OUT_OF_MEMORY,
        container={"resources": {"limits": {"memory": "16Mi"}}},
        exit_code=137,
    ),
    "missing image": Case(
        "ErrImagePull ImagePullBackOff",
        f"cannot pull the image '{MISSING_IMAGE}': connection refused",
        container={"image": MISSING_IMAGE},
        waits=True,
    ),
    "image that needs credentials": Case(
        "ErrImagePull ImagePullBackOff",
        "401 Unauthorized",
        container={"image": "REGISTRY/401/flows:1"},
        fact="failed to pull and unpack image",
        remedy="imagePullSecrets",
        waits=True,
    ),
    "image that these credentials may not pull": Case(
        "ErrImagePull ImagePullBackOff",
        "403 Forbidden",
        container={"image": "REGISTRY/403/flows:1"},
        remedy="imagePullSecrets",
        waits=True,
    ),
    "image tag that is not there": Case(
        "ErrImagePull ImagePullBackOff",
        ": not found",
        container={"image": "REGISTRY/404/flows:1"},
        remedy="check the image's name and tag",
        waits=True,
    ),
    "image that runs as root and may not": Case(
        "CreateContainerConfigError",
        "runAsNonRoot",
        pod={"securityContext": {"runAsNonRoot": True}},
        remedy="runAsUser",
    ),
    "image that may not be pulled and is not there": Case(
        "ErrImageNeverPull",
        "is not present with pull policy of Never",
        container={"image": MISSING_IMAGE, "imagePullPolicy": "Never"},
        remedy="bring the image to the node",
    ),
    "init container that takes too long": Case(
        "PodInitializing",
        "init container 'first' has run since 20",
        pod=init_container("sleep 600"),
        waits=True,
    ),
    "invalid image name": Case(
        "InvalidImageName", "cannot pull the image 'A:b:c': ", container={"image": "A:b:c"}
    ),
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
        'no pod can be created: serviceaccount "absent" not found',
        pod={"serviceAccountName": "absent"},
        remedy="create the service account",
        waits=True,
    ),
    "quota": Case(
        "FailedCreate",
        "exceeded quota: none, requested: pods=1, used: pods=0, limited: pods=0",
        namespace=QUOTA,
        remedy="raise its ResourceQuota",
        waits=True,
    ),
    "pod security": Case(
        "FailedCreate",
        'no pod can be created: violates PodSecurity "restricted:latest": allowPrivilegeEscalation',
        namespace=RESTRICTED,
        fact='violates PodSecurity "restricted:latest": allowPrivilegeEscalation != false (',
        remedy="securityContext",
        waits=True,
    ),
    "command not found": Case(
        "StartError", "could not start", container={"command": ["/absent"]}, job={"backoffLimit": 6}
    ),
    "too large": Case(
        "Unschedulable",
        "Insufficient cpu",
        container={"resources": {"requests": {"cpu": "1000"}}},
        remedy="resources.requests",
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
        "ended with exit code 42",
        "exit 42",
        job={
            "podFailurePolicy": {
                "rules": [{"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}}]
            },
            "backoffLimit": 6,
        },
        exit_code=42,
        fact="the Job failed by its podFailurePolicy: ",
    ),
    "volume that is full": Case(
        "Evicted",
        'Usage of EmptyDir volume "scratch" exceeds the limit "1Mi"',
        "head -c 5000000 /dev/zero > /scratch/f; sleep 120",
        pod={"volumes": [{"name": "scratch", "emptyDir": {"sizeLimit": "1Mi"}}]},
        container={"volumeMounts": [{"name": "scratch", "mountPath": "/scratch"}]},
    ),
    "refused by the kubelet": Case(
        "OutOfcpu",
        "the pod failed: Pod was rejected: ",
        pod={"nodeName": "localhost"},
        container={"resources": {"requests": {"cpu": "1000"}}},
    ),
    "init container": Case(
        "Error", "init container 'first' ended with exit code 9", pod=init_container("exit 9")
    ),
    "init container that is out of memory": Case(
        "OOMKilled",
        "init container 'first' ran out of memory (limit 16Mi)",
        pod=init_container(OUT_OF_MEMORY, resources={"limits": {"memory": "16Mi"}}),
        remedy="resources.limits.memory",
    ),
    "init container whose image is missing": Case(
        "ErrImagePull ImagePullBackOff",
        f"init container 'first' cannot pull the image '{MISSING_IMAGE}': ",
        pod=init_container("true", image=MISSING_IMAGE),
        waits=True,
    ),
    "init container without its command": Case(
        "StartError",
        "init container 'first' could not start: ",
        pod=init_container("true", command=["/absent"]),
        remedy="check its command and image",
    ),
    "sidecar that crashes before the flow": Case(
        "CrashLoopBackOff Error",
        "init container 'first' ended with exit code 5",
        pod=init_container(
            "exit 5",
            restartPolicy="Always",
            startupProbe={"exec": {"command": ["false"]}, "failureThreshold": 100},
        ),
        waits=True,
    ),
    "pod evicted": Case(
        "EvictionByEvictionAPI",
        "the pod was taken away: Eviction API: evicting",
        ENDLESS,
        disturb=evict,
        remedy="podFailurePolicy",
    ),
    "pod deleted": Case(
        "PodDeleted", "ended because its pod was deleted", ENDLESS, disturb=delete, exit_code=137
    ),
    "pod deleted, and the flow ends by itself": Case(
        "Error",
        "ended with exit code 7",
        "trap 'exit 7' TERM; echo up; sleep 60 & wait",
        disturb=delete,
        exit_code=7,
        fact="its pod was deleted",
    ),
    "one index of many": Case(
        "Error",
        "index 1 ended with exit code 5",
        "[ $JOB_COMPLETION_INDEX = 0 ] && sleep 60; exit 5",
        job={"completionMode": "Indexed", "completions": 2, "parallelism": 2},
        exit_code=5,
    ),
    "indexes with limits of their own": Case(
        "Error",
        "ended with exit code 5",
        "[ $JOB_COMPLETION_INDEX = 0 ] || exit 5",
        job={
            "backoffLimit": None,
            "backoffLimitPerIndex": 0,
            "completionMode": "Indexed",
            "completions": 3,
            "parallelism": 3,
        },
        exit_code=5,
        fact="the Job's failed indexes are 1,2",
    ),
    "retries of the Job": Case(
        "Error",
        "ended with exit code 4",
        "exit 4",
        job={"backoffLimit": 1},
        exit_code=4,
        fact="it was the last of 2 failed attempts",
    ),
    "restarts of the container": Case(
        "Error",
        "ended with exit code 4",
        "exit 4",
        job={"backoffLimit": 2},
        pod={"restartPolicy": "OnFailure"},
        exit_code=4,
    ),
    "restarts of a container that is out of memory": Case(
        "OOMKilled",
        "ran out of memory",
        OUT_OF_MEMORY,
        pod={"restartPolicy": "OnFailure"},
        container={"resources": {"limits": {"memory": "16Mi"}}},
        exit_code=137,
    ),
    "lines": Case(
        "Error",
        "ended with exit code 1: Traceback: no region",
        "printf 'Traceback:\n  no region\n' > /dev/termination-log; exit 1",
        exit_code=1,
    ),
    "sidecar": Case(
        "Error",
        "container 'side' ended with exit code 5",
        "true",
        fact="the flow's own container did not fail",
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


@contextmanager
def new_namespace(core_v1: Any, labels: dict[str, str]) -> Iterator[str]:
    metadata = {"generateName": "test-", "labels": labels}
    name = core_v1.create_namespace({"metadata": metadata}).metadata.name
    try:
        wait_for(lambda: core_v1.list_namespaced_service_account(name).items, "the account")
        yield name
    finally:
        core_v1.delete_namespace(name)
        core_v1.delete_collection_namespaced_pod(name, grace_period_seconds=1)


@pytest.fixture(scope="module")
def namespaces(cluster: Cluster, core_v1: Any) -> Iterator[dict[str, str]]:
    restricted = {"pod-security.kubernetes.io/enforce": "restricted"}
    labels: dict[str, dict[str, str]] = {PLAIN: {}, QUOTA: {}, RESTRICTED: restricted}
    with ExitStack() as ending:
        names = {
            kind: ending.enter_context(new_namespace(core_v1, its)) for kind, its in labels.items()
        }
        quota = {"metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}}
        core_v1.create_namespaced_resource_quota(names[QUOTA], quota)

        def is_counted() -> bool:
            return bool(core_v1.read_namespaced_resource_quota("none", names[QUOTA]).status.hard)

        wait_for(is_counted, "the quota")
        yield names


def run(runs: FlowRuns, core_v1: Any, case: Case, cluster: Cluster, registry: str) -> Outcome:
    manifest = runs.manifest(case.script, spec_of(case, cluster.shell_image))
    container = manifest["spec"]["template"]["spec"]["containers"][0]
    container.update(case.container)
    container["image"] = container["image"].replace("REGISTRY", registry)
    job = runs.create(manifest)
    # What does not wait comes to its own end, however busy the machine is with all the others.
    startup_timeout = STARTUP_TIMEOUT if case.waits else None
    return runs.wait(job, lambda line: disturb(core_v1, case, job), startup_timeout)


def disturb(core_v1: Any, case: Case, job: Manifest) -> None:
    if case.disturb is not None:
        name, namespace = job["metadata"]["name"], job["metadata"]["namespace"]
        pods = core_v1.list_namespaced_pod(namespace, label_selector=f"job-name={name}").items
        case.disturb(core_v1, pods[0].metadata.name, namespace)


@pytest.fixture(scope="module")
def outcomes(
    cluster: Cluster, core_v1: Any, namespaces: dict[str, str]
) -> Iterator[dict[str, tuple[Outcome, float]]]:
    """The outcome of each case and the seconds that it took, all run at once."""
    with pytest.MonkeyPatch.context() as patch, ExitStack() as ending:
        connection = connect(cluster.kubeconfig, patch)
        registry = ending.enter_context(refusing_registry())
        runs = {
            kind: ending.enter_context(FlowRuns(connection, name, cluster.shell_image))
            for kind, name in namespaces.items()
        }

        def measure(case: Case) -> tuple[Outcome, float]:
            started = time.monotonic()
            outcome = run(runs[case.namespace], core_v1, case, cluster, registry)
            return outcome, time.monotonic() - started

        with ThreadPoolExecutor(len(CASES)) as threads:
            yield dict(zip(CASES, threads.map(measure, CASES.values()), strict=True))


@pytest.mark.parametrize("name", CASES)
def test_a_failure_is_read_at_a_glance(
    outcomes: dict[str, tuple[Outcome, float]], name: str
) -> None:
    case, (outcome, seconds) = CASES[name], outcomes[name]
    assert outcome.status == "failed"
    assert outcome.reason in case.reason.split(), outcome.message
    headline, facts = explain_failure(outcome)
    assert case.told in headline
    assert len(headline) <= 100
    assert case.remedy in (outcome.remedy or "")
    assert case.fact in "\n".join(facts)
    assert f"pod: {outcome.pod}" in facts or outcome.pod is None
    assert "\n" not in "".join((headline, *facts, outcome.sentence or ""))
    if case.exit_code is not None:
        assert outcome.exit_code == case.exit_code
    if case.waits:
        # Kubernetes tells times in whole seconds.
        assert seconds > STARTUP_TIMEOUT - 1
        assert f"the flow container has not started in {STARTUP_TIMEOUT} s" in facts
    cannot_heal = name in (
        "invalid image name",
        "command not found",
        "image that runs as root and may not",
        "image that may not be pulled and is not there",
    )
    assert outcome.job_is_active == (case.waits or cannot_heal)
