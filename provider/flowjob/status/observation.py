"""What is known of a flow run, as the API server last showed it.

Pure: no Airflow, no Kubernetes client.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from flowjob.flow_run import label
from flowjob.kubernetes_object import KubernetesObject, all_containers, flow_container
from flowjob.status.job import is_active, is_being_deleted

_INDEX_LABEL = "batch.kubernetes.io/job-completion-index"


@dataclass
class Observation:
    """A flow run's Job and its pods.

    :param job: the Job.
    :param pods: the Job's pods by uid, with those that are gone by now as they were last seen.
    :param job_gone: whether the Job was there and is no longer.
    """

    job: KubernetesObject
    pods: dict[str, KubernetesObject] = field(default_factory=dict)
    job_gone: bool = False


def has_ended(observation: Observation) -> bool:
    """Tell whether the Job is over: Complete, Failed, or no longer there."""
    return observation.job_gone or not is_active(observation.job)


def container_statuses(pod: KubernetesObject, *, init: bool = False) -> list[KubernetesObject]:
    """Return the statuses of the pod's containers, or of its init containers."""
    name = "initContainerStatuses" if init else "containerStatuses"
    statuses: list[KubernetesObject] = (pod.get("status") or {}).get(name) or []
    return statuses


def all_container_statuses(pod: KubernetesObject) -> list[KubernetesObject]:
    """Return the statuses of the pod's init containers, then those of its containers."""
    return [*container_statuses(pod, init=True), *container_statuses(pod)]


def container_status(pod: KubernetesObject, name: str) -> KubernetesObject | None:
    """Return the status of a container, None before the kubelet wrote one."""
    return next((s for s in all_container_statuses(pod) if s["name"] == name), None)


def container_names(pod: KubernetesObject) -> list[str]:
    """Return the names of the pod's init containers, then those of its containers."""
    return [container["name"] for container in all_containers(pod["spec"])]


def restart_policy(pod: KubernetesObject, name: str) -> str | None:
    """Return when a container is started again: its own policy, as native sidecars have it."""
    spec = pod["spec"]
    own = {c["name"]: c.get("restartPolicy") for c in spec.get("initContainers") or []}
    policy: str | None = own.get(name) or spec.get("restartPolicy")
    return policy


def completion_index(pod: KubernetesObject) -> str | None:
    """Return the pod's index, where its Job is an Indexed one."""
    return label(pod, _INDEX_LABEL)


def flow_container_name(pod: KubernetesObject) -> str:
    """Return the name of the pod's container that runs the flow."""
    name: str = flow_container(pod["spec"])["name"]
    return name


def flow_container_status(pod: KubernetesObject) -> KubernetesObject | None:
    """Return the status of the flow container, None before the kubelet wrote one."""
    return container_status(pod, flow_container_name(pod))


def terminated_state(pod: KubernetesObject) -> KubernetesObject | None:
    """Return how the pod's flow container ended, None while it has not."""
    return termination(flow_container_status(pod))


def termination(status: KubernetesObject | None, which: str = "state") -> KubernetesObject | None:
    """Return how a container ended, its terminated state; None where it has not.

    :param status: the container's status, None before the kubelet wrote one.
    :param which: ``"state"`` (default), or ``"lastState"`` for its run before the last restart.
    """
    state: KubernetesObject | None = ((status or {}).get(which) or {}).get("terminated")
    return state


def running_beside_ended_flow(pod: KubernetesObject) -> list[str]:
    """Return the containers that keep a pod going whose flow container has ended for good.

    Native sidecars are not among them: the kubelet ends those by itself.
    """
    state, status = terminated_state(pod), pod.get("status") or {}
    if state is None or is_being_deleted(pod) or status.get("phase") != "Running":
        return []
    if state["exitCode"] != 0 and pod["spec"].get("restartPolicy") != "Never":
        return []
    return [s["name"] for s in container_statuses(pod) if "running" in (s.get("state") or {})]
