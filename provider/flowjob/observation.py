"""What is known of a flow run, as the API server last showed it.

Pure: no Airflow, no Kubernetes client.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from flowjob.job_status import KubernetesObject, is_active


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


def flow_container_status(pod: KubernetesObject) -> KubernetesObject | None:
    """Return the status of the pod's first container, None before the kubelet wrote one."""
    name = pod["spec"]["containers"][0]["name"]
    return next((status for status in container_statuses(pod) if status["name"] == name), None)


def terminated_state(pod: KubernetesObject) -> KubernetesObject | None:
    """Return how the pod's flow container ended, None while it has not."""
    status = flow_container_status(pod) or {}
    state: KubernetesObject | None = (status.get("state") or {}).get("terminated")
    return state
