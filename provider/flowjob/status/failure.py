"""Why a flow run failed: (job, pods) -> ``Diagnosis``.

Pure: no Airflow, no Kubernetes client, no clock.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from flowjob.kubernetes_object import KubernetesObject
from flowjob.status.diagnosis import Diagnosis, container_cause, pod_subject_of, remedy_of
from flowjob.status.job import is_being_deleted, true_condition
from flowjob.status.observation import (
    Observation,
    all_container_statuses,
    container_statuses,
    created_at,
    flow_container_name,
    terminated_state,
    termination,
)
from flowjob.text import one_line

_RUN_AGAIN = (
    "give the task retries, or the Job a podFailurePolicy that ignores the condition "
    "DisruptionTarget"
)


def diagnose_failure(observation: Observation) -> Diagnosis:
    """Say why an ended flow run failed.

    :param observation: of a Job that is Failed or gone.
    """
    job = observation.job
    failed = true_condition(job, "Failed") or true_condition(job, "FailureTarget")
    if failed is None:
        return _job_deleted(observation)
    reason = failed.get("reason") or "Failed"
    told = one_line(failed.get("message") or reason)
    if reason == "DeadlineExceeded":
        return _job_deadline(observation)
    cause = _last_pod_cause(observation)
    if reason == "PodFailurePolicy":
        by_policy = f"the Job failed by its podFailurePolicy: {told}"
        if cause is None:
            return Diagnosis(reason, by_policy)
        return replace(cause, reason=reason, remedy=None, facts=(*cause.facts, by_policy))
    if cause is None:
        return Diagnosis(reason, f"the Job failed: {told}")
    return replace(cause, facts=(*cause.facts, *_further_failures(job)))


def diagnose_flow(pod: KubernetesObject, state: KubernetesObject) -> Diagnosis:
    """Say why the flow failed whose container ended so, with an error, in a pod."""
    return container_cause(pod, flow_container_name(pod), state)


def pod_cause(pod: KubernetesObject) -> Diagnosis | None:
    """Say why a pod failed, or will not run its flow to its end; None: it shows no cause."""
    status = pod.get("status") or {}
    who = pod_subject_of(pod)
    where = {"pod": pod["metadata"]["name"], "node": pod["spec"].get("nodeName")}
    if reason := status.get("reason"):
        # Evicted, the pod's own deadline, or the kubelet refused it before any container was.
        told = one_line(status.get("message") or reason)
        return Diagnosis(reason, f"{who} failed: {told}", remedy_of(told), **where)
    disruption = true_condition(pod, "DisruptionTarget")
    if disruption is not None:
        reason = disruption.get("reason") or "DisruptionTarget"
        told = one_line(disruption.get("message") or reason)
        return Diagnosis(reason, f"{who} was taken away: {told}", _RUN_AGAIN, **where)
    for container, state in _failed_containers(pod):
        cause = container_cause(pod, container, state)
        if container != flow_container_name(pod) and terminated_state(pod) is not None:
            facts = (*cause.facts, "the flow's own container did not fail")
            cause = replace(cause, facts=facts)
        return cause
    if is_being_deleted(pod):
        return Diagnosis("PodDeleted", f"{who} was deleted before its flow ended", **where)
    return None


def _job_deleted(observation: Observation) -> Diagnosis:
    spec = observation.job.get("spec")
    seconds = (spec or {}).get("ttlSecondsAfterFinished")
    by_whom = "by somebody, or by its ttlSecondsAfterFinished"
    if seconds is not None:
        by_whom += f": {seconds} s may be too short to see how a Job ended"
    elif spec:
        by_whom = "by somebody: it has no ttlSecondsAfterFinished"
    message = "the Job was deleted before it was seen to end"
    return Diagnosis("JobDeleted", message, facts=(by_whom,))


def _further_failures(job: KubernetesObject) -> Iterator[str]:
    """Say that the cause was not the only one: of attempts, or of indexes."""
    status, spec = job.get("status") or {}, job.get("spec") or {}
    failed = status.get("failed") or 0
    if indexes := status.get("failedIndexes"):
        yield f"the Job's failed indexes are {indexes}"
    elif failed > 1 and spec.get("backoffLimit") and spec.get("parallelism", 1) == 1:
        yield f"it was the last of {failed} failed attempts"


def _job_deadline(observation: Observation) -> Diagnosis:
    ended_well = any(
        (terminated_state(pod) or {}).get("exitCode") == 0 for pod in observation.pods.values()
    )
    what = "ended well, but its Job took" if ended_well else "ran"
    return Diagnosis(
        "DeadlineExceeded",
        f"{what} longer than the Job's activeDeadlineSeconds allows",
        "raise spec.activeDeadlineSeconds",
    )


def _last_pod_cause(observation: Observation) -> Diagnosis | None:
    """Say why the pod failed that failed last.

    Rather not one that was deleted: when an index fails, the Job ends the others' pods.
    """
    causes = [
        ((cause.reason != "PodDeleted", _ended_at(pod)), cause)
        for pod in observation.pods.values()
        if (cause := pod_cause(pod)) is not None
    ]
    if not causes:
        return None
    return max(causes, key=lambda entry: entry[0])[1]


def _failed_containers(pod: KubernetesObject) -> Iterator[tuple[str, KubernetesObject]]:
    """Yield the containers that failed: those before the flow's, the flow's, then the others."""
    flow = flow_container_name(pod)
    for status in sorted(all_container_statuses(pod), key=lambda status: status["name"] != flow):
        state = termination(status)
        if state is not None and state["exitCode"] != 0:
            yield status["name"], state


def _ended_at(pod: KubernetesObject) -> str:
    ends = [
        str(state.get("finishedAt") or "")
        for status in container_statuses(pod)
        if (state := termination(status)) is not None
    ]
    return max([*ends, created_at(pod)])
