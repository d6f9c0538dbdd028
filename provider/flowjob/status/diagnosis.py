"""Why a flow run failed, or does not start: (job, pods, events) -> ``Diagnosis``.

Pure: no Airflow, no Kubernetes client, no clock.
"""

from __future__ import annotations

import re
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from flowjob.kubernetes_object import KubernetesObject, all_containers
from flowjob.status.job import is_being_deleted, true_condition
from flowjob.status.observation import (
    Observation,
    all_container_statuses,
    completion_index,
    container_status,
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
# Exit codes of a container that is told to end: SIGKILL and SIGTERM.
_TOLD_TO_END = (137, 143)

# By the words of Kubernetes, what is well known to help; the first that fits is told.
_REMEDIES = (
    (r"image .*: not found$", "check the image's name and tag"),
    (
        r"image .*(40[13] |authoriz|denied|forbidden)",
        "name a Secret with the registry's credentials in the pod's imagePullSecrets",
    ),
    (r"untolerated taint", "add a toleration of the taint to the pod"),
    (r"Insufficient ", "lower the pod's resources.requests, or add a node with more room"),
    (r"exceeded quota", "wait until the namespace has room, or raise its ResourceQuota"),
    (
        r"violates PodSecurity",
        "set the securityContext that is asked for, or have the namespace's policy changed",
    ),
    (r"serviceaccount .* not found", "create the service account"),
    (r"Pod was active on the node longer", "raise the pod's activeDeadlineSeconds"),
)
_RUN_AGAIN = (
    "give the task retries, or the Job a podFailurePolicy that ignores the condition "
    "DisruptionTarget"
)


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
        return _job_deleted(observation)
    reason = failed.get("reason") or "Failed"
    told = _one_line(failed.get("message") or reason)
    if reason == "DeadlineExceeded":
        return _job_deadline(observation)
    cause = _last_pod_cause(observation)
    if reason == "PodFailurePolicy":
        message = f"Job {name!r} failed by its podFailurePolicy: {told}"
        where = cause or Diagnosis(reason, message)
        return replace(where, reason=reason, message=message, remedy=None)
    if cause is None:
        return Diagnosis(reason, f"Job {name!r} failed: {told}")
    return replace(cause, message=cause.message + _further_failures(job))


def _job_deleted(observation: Observation) -> Diagnosis:
    metadata, spec = observation.job["metadata"], observation.job.get("spec")
    seconds = (spec or {}).get("ttlSecondsAfterFinished")
    remedy = "by somebody, or by its ttlSecondsAfterFinished"
    if seconds is not None:
        remedy += f": {seconds} s may be too short to see how a Job ended"
    elif spec:
        remedy = "by somebody: it has no ttlSecondsAfterFinished"
    message = f"Job {metadata['name']!r} was deleted before it was seen to end"
    return Diagnosis("JobDeleted", message, remedy)


def _further_failures(job: KubernetesObject) -> str:
    """Say that the cause was not the only one: of attempts, or of indexes."""
    status, spec = job.get("status") or {}, job.get("spec") or {}
    failed = status.get("failed") or 0
    if indexes := status.get("failedIndexes"):
        return f"; the Job's failed indexes are {indexes}"
    if failed > 1 and spec.get("backoffLimit") and spec.get("parallelism", 1) == 1:
        return f"; it was the last of {failed} failed attempts"
    return ""


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
    """Say why the pod failed that failed last.

    Rather not one that was deleted: when an index fails, the Job ends the others' pods.
    """
    causes = [
        ((cause.reason != "PodDeleted", _ended_at(pod)), cause)
        for pod in observation.pods.values()
        if (cause := _pod_cause(pod)) is not None
    ]
    if not causes:
        return None
    return max(causes, key=lambda entry: entry[0])[1]


def _pod_cause(pod: KubernetesObject) -> Diagnosis | None:
    status = pod.get("status") or {}
    where = {"pod": pod["metadata"]["name"], "node": pod["spec"].get("nodeName")}
    if reason := status.get("reason"):
        # Evicted, the pod's own deadline, or the kubelet refused it before any container was.
        told = _one_line(status.get("message") or reason)
        return Diagnosis(reason, f"{_where(pod)} failed: {told}", _remedy(told), **where)
    disruption = true_condition(pod, "DisruptionTarget")
    if disruption is not None:
        reason = disruption.get("reason") or "DisruptionTarget"
        told = _one_line(disruption.get("message") or reason)
        return Diagnosis(reason, f"{_where(pod)} was taken away: {told}", _RUN_AGAIN, **where)
    for container, state in _failed_containers(pod):
        cause = _container_cause(pod, container, state)
        if container != flow_container_name(pod) and terminated_state(pod) is not None:
            cause = replace(
                cause, message=f"{cause.message}; the flow's own container did not fail"
            )
        return cause
    if is_being_deleted(pod):
        return Diagnosis("PodDeleted", f"{_where(pod)} was deleted before its flow ended", **where)
    return None


def _failed_containers(pod: KubernetesObject) -> Iterator[tuple[str, KubernetesObject]]:
    """Yield the containers that failed: those before the flow's, the flow's, then the others."""
    flow = flow_container_name(pod)
    for status in sorted(all_container_statuses(pod), key=lambda status: status["name"] != flow):
        state = _terminated(status)
        if state is not None and state["exitCode"] != 0:
            yield status["name"], state


def _container_cause(pod: KubernetesObject, name: str, state: KubernetesObject) -> Diagnosis:
    where = f"container {name!r} of {_where(pod)}"
    reason, code = state.get("reason") or "Error", state["exitCode"]
    told = f": {_one_line(state['message'])}" if state.get("message") else ""
    remedy = None
    if reason == "OOMKilled":
        message = f"{where} ran out of memory{_of_limit(pod, name)}"
        remedy = "raise its resources.limits.memory"
    elif reason in _COULD_NOT_START:
        message = f"{where} could not start{told}"
        remedy = "check its command and image"
    elif is_being_deleted(pod) and code in _TOLD_TO_END and not _restarts(pod, name):
        reason, message = "PodDeleted", f"{where} ended because its pod was deleted"
    else:
        message = f"{where} ended with exit code {code} ({_signal(code) or reason}){told}"
        if is_being_deleted(pod) and pod["spec"].get("restartPolicy") == "Never":
            # Else the Job itself deletes it at its limit of restarts.
            message += ", and its pod was deleted"
    return Diagnosis(
        reason,
        message,
        remedy,
        pod=pod["metadata"]["name"],
        node=pod["spec"].get("nodeName"),
        container=name,
        can_heal=reason not in _CANNOT_HEAL,
    )


# --- a flow run that does not start -------------------------------------------------------------


def has_started(observation: Observation) -> bool:
    """Tell whether the flow container of any pod runs or has run.

    The Job counts its ready pods, also for who may not list them. Where it was suspended and
    released, the pods that it had before do not count.
    """
    status = observation.job.get("status") or {}
    since = status.get("startTime") or ""
    return bool(status.get("ready") or status.get("succeeded")) or any(
        _runs_or_ran(flow_container_status(pod) or {})
        for pod in observation.pods.values()
        if str(pod["metadata"].get("creationTimestamp") or since) >= since
    )


def _runs_or_ran(status: KubernetesObject) -> bool:
    if "running" in (status.get("state") or {}):
        return True
    # One that ended and is to be restarted waits, and its end is the one before.
    ends = (_terminated(status), _terminated(status, "lastState"))
    return any(end is not None and end.get("reason") not in _COULD_NOT_START for end in ends)


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
            told = _one_line(condition.get("message") or reason)
            message = f"{_where(pod)} is not scheduled: {told}"
            return Diagnosis(reason, message, _remedy(told), pod=pod["metadata"]["name"])
    return None


def _waits(pod: KubernetesObject) -> Diagnosis | None:
    for status in all_container_statuses(pod):
        waiting = (status.get("state") or {}).get("waiting") or {}
        reason = waiting.get("reason") or ""
        if not reason or reason in _STARTING:
            continue
        name = status["name"]
        last = _terminated(status, "lastState")
        if reason == "CrashLoopBackOff" and last is not None:
            cause = _container_cause(pod, name, last)
            return replace(cause, reason=reason, message=f"{cause.message}{_restarted(status)}")
        told = _one_line(waiting.get("message") or reason)
        return Diagnosis(
            reason,
            f"container {name!r} of {_pod_name(pod)} cannot start: {told}",
            _remedy(told),
            pod=pod["metadata"]["name"],
            node=pod["spec"].get("nodeName"),
            container=name,
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
    told = _one_line(last.get("message") or reason)
    pod = name if kind == "Pod" else None
    return Diagnosis(reason, f"{kind} {name!r}: {told}", _remedy(told), pod=pod)


# --- what went wrong although the flow run goes on, or succeeded --------------------------------


def pod_warnings(pod: KubernetesObject) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with a pod whose flow runs or succeeded: container and sentence.

    :param pod: a pod of a flow run that did not fail, or not yet.
    """
    state = terminated_state(pod)
    flow = flow_container_name(pod)
    if state is not None and is_doubtful(state):
        yield (
            flow,
            f"Container {flow!r} of {_where(pod)} ended with exit code 0, but the reason "
            f"{state['reason']}{_of_limit(pod, flow)}: what it left as its result is not taken",
        )
    for status in all_container_statuses(pod):
        name, last = status["name"], _terminated(status, "lastState")
        if name != flow and last is not None and last["exitCode"] != 0:
            told = _container_cause(pod, name, last).message
            yield name, f"{told[:1].upper()}{told[1:]}{_restarted(status)}"


def lost_pods(observation: Observation) -> str | None:
    """Say of a flow run that succeeded that nothing more is known of it, where that is so.

    :param observation: of a Job that is Complete, after its pods were read once more.
    """
    if any((terminated_state(pod) or {}).get("exitCode") == 0 for pod in observation.pods.values()):
        return None
    name = observation.job["metadata"]["name"]
    return (
        f"The Job {name} is Complete, but its pods are gone, or may not be read: "
        "the flow's log, exit code and result are gone with them"
    )


def is_doubtful(state: KubernetesObject) -> bool:
    """Tell whether a container ended with exit code 0, but not well altogether.

    One of whose processes was killed for want of memory may have left half a result.

    :param state: the container's terminated state.
    """
    return state.get("exitCode") == 0 and state.get("reason", "Completed") != "Completed"


# --- what both need -----------------------------------------------------------------------------


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _remedy(told: str) -> str | None:
    return next((remedy for words, remedy in _REMEDIES if re.search(words, told)), None)


def _pod_name(pod: KubernetesObject) -> str:
    """Name a pod and, in an Indexed Job, its index."""
    index = completion_index(pod)
    return f"pod {pod['metadata']['name']!r}" + (f" (index {index})" if index is not None else "")


def _where(pod: KubernetesObject) -> str:
    """Name a pod and its node."""
    node = pod["spec"].get("nodeName")
    return _pod_name(pod) + (f" on node {node!r}" if node else "")


def _restarts(pod: KubernetesObject, name: str) -> int:
    count: int = (container_status(pod, name) or {}).get("restartCount", 0)
    return count


def _restarted(status: KubernetesObject) -> str:
    return f"; restarts so far: {status['restartCount']}"


def _terminated(status: KubernetesObject | None, which: str = "state") -> KubernetesObject | None:
    state: KubernetesObject | None = ((status or {}).get(which) or {}).get("terminated")
    return state


def _ended_at(pod: KubernetesObject) -> str:
    ends = [
        str(state.get("finishedAt") or "")
        for status in container_statuses(pod)
        if (state := _terminated(status)) is not None
    ]
    return max([*ends, str(pod["metadata"].get("creationTimestamp") or "")])


def _of_limit(pod: KubernetesObject, name: str) -> str:
    for container in all_containers(pod["spec"]):
        limit = ((container.get("resources") or {}).get("limits") or {}).get("memory")
        if container["name"] == name and limit:
            return f" (its limit is {limit})"
    return ""


def _signal(code: int) -> str | None:
    """Name the signal that ended a container: a shell adds 128 to its number."""
    try:
        return signal.Signals(code - 128).name
    except ValueError:
        return None
