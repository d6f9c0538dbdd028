"""Why a flow run failed, or does not start: (job, pods, events) -> ``Diagnosis``.

Pure: no Airflow, no Kubernetes client, no clock.
"""

from __future__ import annotations

import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from flowjob.job_status import KubernetesObject, true_condition
from flowjob.observation import (
    Observation,
    container_statuses,
    flow_container_name,
    flow_container_status,
    terminated_state,
)

# What a container waits for while all is well.
_STARTING = {"ContainerCreating", "PodInitializing"}
# What stays as it is, however long one waits: the spec itself is wrong.
_CANNOT_HEAL = {"InvalidImageName", "RunContainerError", "StartError", "ContainerCannotRun"}
_COULD_NOT_START = {"StartError", "ContainerCannotRun"}


@dataclass(frozen=True)
class Diagnosis:
    """One cause.

    :param reason: Kubernetes' own word for it, such as ``OOMKilled``.
    :param message: what failed, where and why, as a sentence.
    :param remedy: what to do about it, where that is well known.
    :param pod: the pod that it is about, if it is about one.
    :param node: the pod's node.
    :param container: the container that it is about, if it is about one.
    :param can_heal: whether it may go away by itself.
    """

    reason: str
    message: str
    remedy: str | None = None
    pod: str | None = None
    node: str | None = None
    container: str | None = None
    can_heal: bool = True

    def __str__(self) -> str:
        return f"{self.message} ({self.remedy})" if self.remedy else self.message


# --- a flow run that failed ---------------------------------------------------------------------


def diagnose_failure(observation: Observation) -> Diagnosis:
    """Say why an ended flow run failed.

    :param observation: of a Job that is Failed or gone.
    """
    job = observation.job
    name = job["metadata"]["name"]
    failed = true_condition(job, "Failed") or true_condition(job, "FailureTarget")
    if failed is None:
        return Diagnosis(
            "JobDeleted",
            f"Job {name!r} was deleted before its flow ended",
            "by somebody, or by its ttlSecondsAfterFinished",
        )
    reason = failed.get("reason") or "Failed"
    told = failed.get("message") or reason
    if reason == "DeadlineExceeded":
        return _job_deadline(observation)
    if reason == "PodFailurePolicy":
        return Diagnosis(reason, f"Job {name!r} failed by its podFailurePolicy: {told}")
    cause = _last_pod_cause(observation)
    if cause is None:
        return Diagnosis(reason, f"Job {name!r} failed: {told}")
    return cause


def diagnose_flow(pod: KubernetesObject) -> Diagnosis:
    """Say why the flow failed in a pod whose flow container has ended with an error."""
    return _container_cause(pod, flow_container_name(pod), terminated_state(pod) or {})


def _job_deadline(observation: Observation) -> Diagnosis:
    name = observation.job["metadata"]["name"]
    ended_well = any(
        (terminated_state(pod) or {}).get("exitCode") == 0 for pod in observation.pods.values()
    )
    what = "ended well, but" if ended_well else "ran"
    return Diagnosis(
        "DeadlineExceeded",
        f"the flow of Job {name!r} {what} longer than the Job's activeDeadlineSeconds allows",
        "raise spec.activeDeadlineSeconds",
    )


def _last_pod_cause(observation: Observation) -> Diagnosis | None:
    """Say why the pod failed that failed last."""
    causes = [
        (_ended_at(pod), cause)
        for pod in observation.pods.values()
        if (cause := _pod_cause(pod)) is not None
    ]
    if not causes:
        return None
    return max(causes, key=lambda entry: entry[0])[1]


def _pod_cause(pod: KubernetesObject) -> Diagnosis | None:
    status = pod.get("status") or {}
    name = pod["metadata"]["name"]
    where = {"pod": name, "node": pod["spec"].get("nodeName")}
    on_node = f"pod {name!r} on node {where['node']!r}" if where["node"] else f"pod {name!r}"
    if reason := status.get("reason"):
        # Evicted, the pod's own deadline, or the kubelet refused it before any container was.
        return Diagnosis(reason, f"{on_node} failed: {status.get('message') or reason}", **where)
    disruption = true_condition(pod, "DisruptionTarget")
    if disruption is not None:
        reason = disruption.get("reason") or "DisruptionTarget"
        told = disruption.get("message") or reason
        return Diagnosis(reason, f"{on_node} was taken away: {told}", **where)
    for container, state in _failed_containers(pod):
        return _container_cause(pod, container, state)
    if "deletionTimestamp" in pod["metadata"]:
        return Diagnosis("PodDeleted", f"{on_node} was deleted while its flow ran", **where)
    return None


def _failed_containers(pod: KubernetesObject) -> Iterator[tuple[str, KubernetesObject]]:
    """Yield the containers that failed: those before the flow's, the flow's, then the others."""
    flow = pod["spec"]["containers"][0]["name"]
    statuses = [*container_statuses(pod, init=True), *container_statuses(pod)]
    ranked = sorted(statuses, key=lambda status: status["name"] != flow)
    for status in ranked:
        state = _terminated(status)
        if state is not None and state["exitCode"] != 0:
            yield status["name"], state


def _container_cause(pod: KubernetesObject, name: str, state: KubernetesObject) -> Diagnosis:
    pod_name, node = pod["metadata"]["name"], pod["spec"].get("nodeName")
    is_flow = name == pod["spec"]["containers"][0]["name"]
    where = f"container {name!r} of pod {pod_name!r}"
    reason, code = state.get("reason") or "Error", state["exitCode"]
    told = f": {state['message'].strip()}" if state.get("message") else ""
    remedy = None
    if "deletionTimestamp" in pod["metadata"] and code in (137, 143):
        reason, message = "PodDeleted", f"{where} ended because its pod was deleted"
    elif reason == "OOMKilled":
        limit = _memory_limit(pod, name)
        message = f"{where} ran out of memory" + (f" (its limit is {limit})" if limit else "")
        remedy = "raise its resources.limits.memory"
    elif reason in _COULD_NOT_START:
        message = f"{where} could not start{told}"
        remedy = "check its command and image"
    else:
        message = f"{where} ended with exit code {code} ({_signal(code) or reason}){told}"
    if not is_flow:
        message += "; the flow's own container did not fail"
    return Diagnosis(
        reason,
        message,
        remedy,
        pod=pod_name,
        node=node,
        container=name,
        can_heal=reason not in _CANNOT_HEAL,
    )


# --- a flow run that does not start -------------------------------------------------------------


def has_started(observation: Observation) -> bool:
    """Tell whether the flow container of any pod runs or has run.

    The Job counts its ready pods, also for who may not list them.
    """
    counts = observation.job.get("status") or {}
    return bool(counts.get("ready") or counts.get("succeeded")) or any(
        _terminated(status) is not None or "running" in (status.get("state") or {})
        for pod in observation.pods.values()
        if (status := flow_container_status(pod)) is not None
        and (_terminated(status) or {}).get("reason") not in _COULD_NOT_START
    )


def is_suspended(observation: Observation) -> bool:
    """Tell whether somebody, such as Kueue, holds the Job back on purpose."""
    return true_condition(observation.job, "Suspended") is not None


def diagnose_start(
    observation: Observation, events: Sequence[KubernetesObject] = ()
) -> Diagnosis | None:
    """Say what keeps the flow container from starting; None: nothing is known of it.

    :param observation: of a flow run that has not started.
    :param events: the cluster's events about the Job and its pods, as far as they were read.
    """
    pods = sorted(
        observation.pods.values(), key=lambda pod: str(pod["metadata"].get("creationTimestamp"))
    )
    for pod in reversed(pods):
        if cause := _not_scheduled(pod) or _waits(pod) or _pod_cause(pod):
            return cause
    return _last_warning(events) or _nothing_will_start(observation)


def _not_scheduled(pod: KubernetesObject) -> Diagnosis | None:
    conditions = (pod.get("status") or {}).get("conditions") or []
    for condition in conditions:
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            reason = condition.get("reason") or "Unschedulable"
            name = pod["metadata"]["name"]
            told = condition.get("message") or reason
            return Diagnosis(reason, f"pod {name!r} is not scheduled: {told}", pod=name)
    return None


def _waits(pod: KubernetesObject) -> Diagnosis | None:
    name, node = pod["metadata"]["name"], pod["spec"].get("nodeName")
    for status in [*container_statuses(pod, init=True), *container_statuses(pod)]:
        waiting = (status.get("state") or {}).get("waiting") or {}
        reason = waiting.get("reason") or ""
        if reason and reason not in _STARTING:
            told = waiting.get("message") or reason
            return Diagnosis(
                reason,
                f"container {status['name']!r} of pod {name!r} cannot start: {told}",
                pod=name,
                node=node,
                container=status["name"],
                can_heal=reason not in _CANNOT_HEAL,
            )
    return None


def _nothing_will_start(observation: Observation) -> Diagnosis | None:
    name, spec = observation.job["metadata"]["name"], observation.job.get("spec") or {}
    if manager := spec.get("managedBy"):
        return Diagnosis("ManagedBy", f"Job {name!r} is left to its managedBy, {manager!r}")
    if spec.get("parallelism") == 0:
        return Diagnosis("NoParallelism", f"Job {name!r} starts no pod: its parallelism is 0")
    return None


def _last_warning(events: Sequence[KubernetesObject]) -> Diagnosis | None:
    warnings = [event for event in events if event.get("type") == "Warning"]
    if not warnings:
        return None
    last = max(
        warnings,
        key=lambda e: str(e.get("lastTimestamp") or e.get("eventTime") or e.get("firstTimestamp")),
    )
    about = last.get("involvedObject") or {}
    kind, name = about.get("kind") or "Job", about.get("name") or ""
    reason = last.get("reason") or "Warning"
    told = (last.get("message") or reason).strip()
    return Diagnosis(reason, f"{kind} {name!r}: {told}", pod=name if kind == "Pod" else None)


# --- what both need -----------------------------------------------------------------------------


def _terminated(status: KubernetesObject | None) -> KubernetesObject | None:
    state: KubernetesObject | None = ((status or {}).get("state") or {}).get("terminated")
    return state


def _ended_at(pod: KubernetesObject) -> str:
    ends = [
        str(state.get("finishedAt") or "")
        for status in container_statuses(pod)
        if (state := _terminated(status)) is not None
    ]
    return max([*ends, str(pod["metadata"].get("creationTimestamp") or "")])


def _memory_limit(pod: KubernetesObject, name: str) -> str | None:
    for container in pod["spec"]["containers"]:
        if container["name"] == name:
            limit: str | None = ((container.get("resources") or {}).get("limits") or {}).get(
                "memory"
            )
            return limit
    return None


def _signal(code: int) -> str | None:
    """Name the signal that ended a container: a shell adds 128 to its number."""
    try:
        return signal.Signals(code - 128).name
    except ValueError:
        return None
