"""From what the cluster shows to what it means: (job, pods) -> ``Outcome``.

Pure: no Airflow, no Kubernetes client, no clock.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from typing import Any

from flowjob.kubernetes_object import KubernetesObject, termination_message_limit
from flowjob.status.diagnosis import Diagnosis, sentence_of
from flowjob.status.failure import diagnose_failure, diagnose_flow
from flowjob.status.indexes import is_leader, messages_by_index
from flowjob.status.job import has_many_pods, is_being_deleted, true_condition
from flowjob.status.observation import (
    Observation,
    created_at,
    flow_container_name,
    flow_container_status,
    flow_ended_at,
    has_restart_rule,
    running_beside_ended_flow,
    terminated_state,
    termination,
)
from flowjob.status.warnings import is_doubtful

SUCCEEDED = "succeeded"
FAILED = "failed"
CANCELLED = "cancelled"

# Fields of an outcome that Airflow does not store as such.
_NOT_STORED = (
    "facts",
    "remedy",
    "termination_message",
    "indexed_messages",
    "result_limit",
    "job_is_active",
)


@dataclass(frozen=True)
class Outcome:
    """How a flow run ended.

    :param status: ``succeeded``, ``failed``, or ``cancelled``.
    :param reason: Kubernetes' own word for the cause, such as ``OOMKilled``; None on success.
    :param message: the cause as a sentence that begins with it; None on success.
    :param facts: what else there is to know of it, a sentence each.
    :param remedy: what helps, where that is well known.
    :param pod: the pod whose flow decided, or the pod that failed.
    :param node: that pod's node.
    :param container: the container that failed, if one did.
    :param exit_code: exit code of the flow container, None where no pod told one.
    :param started_at: when the flow container started (RFC 3339).
    :param finished_at: when it ended (RFC 3339).
    :param termination_message: what it left there as the flow's result; empty where that does not
        count.
    :param indexed_messages: the same of each index, empty where there is none; None: it is not an
        Indexed Job of several pods, or one that has a leader.
    :param result_limit: bytes of it that the kubelet kept.
    :param job_is_active: whether the Job goes on although the flow run is over: it is to be
        deleted.
    """

    status: str
    reason: str | None = None
    message: str | None = None
    pod: str | None = None
    node: str | None = None
    container: str | None = None
    exit_code: int | None = None
    started_at: str | None = None
    finished_at: str | None = None
    facts: list[str] = field(default_factory=list)
    remedy: str | None = None
    termination_message: str = field(default="", repr=False)
    indexed_messages: list[str] | None = field(default=None, repr=False)
    result_limit: int = 4096
    job_is_active: bool = False

    @property
    def sentence(self) -> str | None:
        """The cause, what else there is to know, and what helps; None on success."""
        return self.message and sentence_of(self.message, self.facts, self.remedy)

    def to_dict(self) -> dict[str, Any]:
        """Return what Airflow stores in XCom; the result has an XCom of its own."""
        stored = {**asdict(self), "message": self.sentence}
        for own in _NOT_STORED:
            del stored[own]
        return stored


def outcome_of(observation: Observation) -> Outcome:
    """Say how an ended flow run ended.

    :param observation: of a Job for which ``has_ended`` holds.
    """
    job = observation.job
    succeeded = true_condition(job, "Complete") is not None
    cause = None if succeeded else diagnose_failure(observation)
    pod = _deciding_pod(observation, cause)
    facts = _facts(pod, terminated_state(pod) or {}) if pod else {}
    if cause is None:
        place = {} if pod is None else _place(pod)
        messages = messages_by_index(observation)
        return Outcome(SUCCEEDED, **place, **facts, indexed_messages=messages)
    return Outcome(FAILED, **_told(cause), **facts)


def outcome_of_flow(observation: Observation) -> Outcome | None:
    """Say how the flow itself ended, while other containers keep its Job active.

    :param observation: of the flow run, or of what is new of it.
    :returns: None where it has not ended, or nothing keeps the Job from ending by itself.
    """
    for pod in observation.pods.values():
        state = terminated_state(pod)
        if state is None or not running_beside_ended_flow(pod):
            continue
        if state["exitCode"] == 0:
            facts = {**_place(pod), **_facts(pod, state)}
            return Outcome(SUCCEEDED, **facts, job_is_active=True)
        return _failed_before_its_job(pod, state)
    return None


def outcome_of_exit(observation: Observation, exit_codes: Collection[int]) -> Outcome | None:
    """Say how the flow ended where it did with one of some exit codes, whatever its Job does next.

    :param observation: of the flow run, or of what is new of it.
    :param exit_codes: with which a flow is over, of the flow container.
    :returns: None where it has not, where the spec itself has it started again after that code,
        where its pod is one of many or was told to end, or where its Job is about to end by
        itself.
    """
    if not exit_codes or has_many_pods(observation.job):
        return None
    for pod in observation.pods.values():
        if is_being_deleted(pod):
            # It was told to end, as by Kueue, which has the flow begin anew later.
            continue
        name = flow_container_name(pod)
        for which in ("state", "lastState"):
            state = termination(flow_container_status(pod), which)
            if state is None or state["exitCode"] not in exit_codes:
                continue
            if has_restart_rule(pod, name, state["exitCode"]):
                continue
            if not _is_the_only_attempt(observation.job, pod):
                return _failed_before_its_job(pod, state)
    return None


def _is_the_only_attempt(job: KubernetesObject, pod: KubernetesObject) -> bool:
    """Tell whether the end of a pod that has ended is its Job's, too."""
    limit, policy = (job.get("spec") or {}).get("backoffLimit"), pod["spec"].get("restartPolicy")
    return limit == 0 and policy == "Never" and not running_beside_ended_flow(pod)


def _failed_before_its_job(pod: KubernetesObject, state: KubernetesObject) -> Outcome:
    cause, facts = _told(diagnose_flow(pod, state)), _facts(pod, state)
    return Outcome(FAILED, **cause, **facts, job_is_active=True)


def outcome_of_start(cause: Diagnosis) -> Outcome:
    """Say that a flow run is over because its flow container does not start."""
    return Outcome(FAILED, **_told(cause), job_is_active=True)


def _facts(pod: KubernetesObject, state: KubernetesObject) -> dict[str, Any]:
    """Take from a flow container that has ended, and from its pod, what an outcome has of them."""
    return {
        "exit_code": state.get("exitCode"),
        "started_at": state.get("startedAt"),
        "finished_at": state.get("finishedAt"),
        "termination_message": "" if is_doubtful(state) else state.get("message") or "",
        "result_limit": termination_message_limit(pod["spec"]),
    }


def _place(pod: KubernetesObject) -> dict[str, Any]:
    """Say where the flow has run; of one that failed, its cause says so."""
    return {"pod": pod["metadata"]["name"], "node": (pod.get("spec") or {}).get("nodeName")}


def _told(cause: Diagnosis) -> dict[str, Any]:
    names = ("reason", "message", "remedy", "pod", "node", "container")
    return {name: getattr(cause, name) for name in names} | {"facts": list(cause.facts)}


def _deciding_pod(observation: Observation, cause: Diagnosis | None) -> KubernetesObject | None:
    """Choose the pod of the cause, else the leader's, else that which ended last as the Job did.

    Of a Job that failed, or is gone, an attempt tells nothing where a later one has not ended.
    """
    if cause is not None and not has_many_pods(observation.job):
        last = max(observation.pods.values(), key=created_at, default=None)
        if last is not None and terminated_state(last) is None:
            return None

    def rank(pod: KubernetesObject) -> tuple[bool, bool, str, str]:
        name = pod["metadata"]["name"]
        is_cause = cause is not None and name == cause.pod
        # Kubernetes tells times in whole seconds.
        return is_cause, is_leader(observation.job, pod), flow_ended_at(pod), name

    ended = [
        pod
        for pod in observation.pods.values()
        if (state := terminated_state(pod)) and (state["exitCode"] == 0) == (cause is None)
    ]
    return max(ended, key=rank, default=None)
