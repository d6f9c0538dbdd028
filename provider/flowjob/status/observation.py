"""What is known of a flow run, as the API server last showed it.

Pure: no Airflow, no Kubernetes client.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from flowjob.flow_run import label
from flowjob.kubernetes_object import (
    KubernetesObject,
    all_containers,
    flow_container,
    with_flow_container_first,
)
from flowjob.status.job import is_active, is_being_deleted

_INDEX_LABEL = "batch.kubernetes.io/job-completion-index"


_FINAL_PHASES = ("Succeeded", "Failed")


@dataclass
class Observation:
    """A flow run's Job and its pods, or what is new of them.

    :param job: the Job.
    :param pods: the Job's pods by uid, with those that are gone by now as they were last seen.
        Where only what is new is shown: those that are not as they were.
    :param job_gone: whether the Job was there and is no longer.
    """

    job: KubernetesObject
    pods: dict[str, KubernetesObject] = field(default_factory=dict)
    job_gone: bool = False

    def take_job(self, job: KubernetesObject) -> bool:
        """Take the Job as it was seen, and tell whether anything is new."""
        if job == self.job or is_older(job, self.job):
            return False
        self.job = job
        return True

    def take_pod(self, pod: KubernetesObject) -> bool:
        """Take one of the Job's pods as it was seen, and tell whether anything is new."""
        uid, pod = pod["metadata"]["uid"], with_flow_container_first(pod, self.job)
        known = self.pods.get(uid)
        if known is not None and (known == pod or is_older(pod, known)):
            return False
        self.pods[uid] = pod
        return True

    def take_listed(self, pods: Iterable[KubernetesObject]) -> dict[str, KubernetesObject]:
        """Take some of the Job's pods, and return by uid those of which anything is new."""
        uids = [pod["metadata"]["uid"] for pod in pods if self.take_pod(pod)]
        return {uid: self.pods[uid] for uid in uids}


def is_older(item: KubernetesObject, known: KubernetesObject) -> bool:
    """Tell whether an object came to be as it is before it was as it is known.

    A list may overtake a watch, and be overtaken. Versions of a kind of object are numbers that
    grow: by contract since Kubernetes 1.35, and in every server with etcd before.
    """
    versions = [each["metadata"].get("resourceVersion") or "" for each in (item, known)]
    return all(map(str.isdecimal, versions)) and int(versions[0]) < int(versions[1])


def owner_of(pod: KubernetesObject) -> str | None:
    """Return the uid of what made a pod, such as its Job; None: nothing did.

    A pod's labels do not tell: people copy a Job to debug it, and flows start pods of their own.
    """
    owners = pod["metadata"].get("ownerReferences") or []
    return next((owner["uid"] for owner in owners if owner.get("controller")), None)


def created_at(item: KubernetesObject) -> str:
    """Return when a Job or a pod was created, as a text that sorts; empty: it does not tell."""
    return str(item["metadata"].get("creationTimestamp") or "")


def is_pod_of(job: KubernetesObject, pod: KubernetesObject) -> bool:
    """Tell whether a pod is one of a Job's own, whatever its labels say."""
    return bool(owner_of(pod) == job["metadata"]["uid"])


def is_final(pod: KubernetesObject) -> bool:
    """Tell whether a pod has ended for good."""
    return (pod.get("status") or {}).get("phase") in _FINAL_PHASES


def has_ended(observation: Observation) -> bool:
    """Tell whether the Job is over: Complete, Failed, or no longer there."""
    return observation.job_gone or not is_active(observation.job)


def is_settled(observation: Observation) -> bool:
    """Tell whether the pods of an ended Job are as it counted them: their watch may lag behind.

    :param observation: of a Job for which ``has_ended`` holds.
    """
    status = observation.job.get("status") or {}
    counted = sum(status.get(name) or 0 for name in ("succeeded", "failed"))
    pods = observation.pods.values()
    return len(pods) >= max(counted, 1) and all(is_final(pod) for pod in pods)


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
    """Return when a container is started again: by its own policy, or else by its pod's."""
    policy: str | None = container_of(pod, name).get("restartPolicy") or pod["spec"].get(
        "restartPolicy"
    )
    return policy


def is_started_again(pod: KubernetesObject, name: str, exit_code: int) -> bool:
    """Tell whether the kubelet starts a container again that has ended.

    By its restart rules (on by default since Kubernetes 1.35), its own policy, or its pod's.
    """
    if is_final(pod) or is_being_deleted(pod):
        return False
    if has_restart_rule(pod, name, exit_code):
        return True
    policy = restart_policy(pod, name)
    return policy == "Always" or (policy == "OnFailure" and exit_code != 0)


def has_restart_rule(pod: KubernetesObject, name: str, exit_code: int) -> bool:
    """Tell whether a rule of a container's own has it started again after this exit code."""
    for rule in container_of(pod, name).get("restartPolicyRules") or []:
        codes = rule.get("exitCodes") or {}
        if (exit_code in (codes.get("values") or [])) == (codes.get("operator") == "In"):
            return True
    return False


def container_of(pod: KubernetesObject, name: str) -> KubernetesObject:
    """Return a container as the pod's spec has it, empty where it has none of that name."""
    return next((each for each in all_containers(pod["spec"]) if each["name"] == name), {})


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


def flow_ended_at(pod: KubernetesObject) -> str:
    """Return when the pod's flow container ended, as a text that sorts; empty while it has not."""
    return (terminated_state(pod) or {}).get("finishedAt") or ""


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
    if is_started_again(pod, flow_container_name(pod), state["exitCode"]):
        return []
    return [s["name"] for s in container_statuses(pod) if "running" in (s.get("state") or {})]
