"""From what the cluster shows to what it means: (job, pods) -> ``Outcome``.

Pure: no Airflow, no Kubernetes client, no clock.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from flowjob.exceptions import ResultError
from flowjob.flows.runner import RESULT_ERROR
from flowjob.job_status import KubernetesObject, is_active, true_condition

SUCCEEDED = "succeeded"
FAILED = "failed"
CANCELLED = "cancelled"


@dataclass
class Observation:
    """What is known of a flow run's Job and its pods, as the API server last showed them.

    :param job: the Job.
    :param pods: the Job's pods by uid, with those that are gone by now as they were last seen.
    :param job_gone: whether the Job was there and is no longer.
    """

    job: KubernetesObject
    pods: dict[str, KubernetesObject] = field(default_factory=dict)
    job_gone: bool = False


@dataclass(frozen=True)
class Outcome:
    """How a flow run ended.

    :param status: ``succeeded`` or ``failed``.
    :param reason: Kubernetes' own word for the cause, such as ``OOMKilled``; None on success.
    :param message: the cause as a sentence; None on success.
    :param exit_code: exit code of the flow container, None where no pod told one.
    :param started_at: when the flow container started (RFC 3339).
    :param finished_at: when it ended (RFC 3339).
    :param termination_message: what it left there, the flow's result on success.
    """

    status: str
    reason: str | None = None
    message: str | None = None
    exit_code: int | None = None
    started_at: str | None = None
    finished_at: str | None = None
    termination_message: str = field(default="", repr=False)

    def to_dict(self) -> dict[str, Any]:
        """Return what Airflow stores in XCom; the result has an XCom of its own."""
        names = ("status", "reason", "message", "exit_code", "started_at", "finished_at")
        return {name: getattr(self, name) for name in names}


def has_ended(observation: Observation) -> bool:
    """Tell whether the Job is over: Complete, Failed, or no longer there."""
    return observation.job_gone or not is_active(observation.job)


def flow_container_status(pod: KubernetesObject) -> KubernetesObject | None:
    """Return the status of the pod's first container, None before the kubelet wrote one."""
    name = pod["spec"]["containers"][0]["name"]
    statuses = (pod.get("status") or {}).get("containerStatuses") or []
    return next((status for status in statuses if status["name"] == name), None)


def terminated_state(pod: KubernetesObject) -> KubernetesObject | None:
    """Return how the pod's flow container ended, None while it has not."""
    status = flow_container_status(pod) or {}
    state: KubernetesObject | None = (status.get("state") or {}).get("terminated")
    return state


def outcome_of(observation: Observation) -> Outcome:
    """Say how an ended flow run ended.

    :param observation: of a Job for which ``has_ended`` holds.
    """
    job = observation.job
    succeeded = true_condition(job, "Complete") is not None
    pod = _deciding_pod(observation, succeeded)
    state = (terminated_state(pod) if pod else None) or {}
    facts: dict[str, Any] = {
        "exit_code": state.get("exitCode"),
        "started_at": state.get("startedAt"),
        "finished_at": state.get("finishedAt"),
        "termination_message": state.get("message") or "",
    }
    if succeeded:
        return Outcome(SUCCEEDED, **facts)
    reason, message = _cause(observation, pod, state)
    return Outcome(FAILED, reason=reason, message=message, **facts)


def _deciding_pod(observation: Observation, succeeded: bool) -> KubernetesObject | None:
    """Choose the pod whose flow container ended last, in the way in which the Job ended."""
    ended = [
        (state["finishedAt"] or "", pod)
        for pod in observation.pods.values()
        if (state := terminated_state(pod)) and (state["exitCode"] == 0) == succeeded
    ]
    return max(ended, key=lambda entry: entry[0], default=(None, None))[1]


def _cause(
    observation: Observation, pod: KubernetesObject | None, state: KubernetesObject
) -> tuple[str, str]:
    job = observation.job
    name = job["metadata"]["name"]
    if pod:
        container = pod["spec"]["containers"][0]["name"]
        where = f"container {container!r} of pod {pod['metadata']['name']!r}"
        reason = state.get("reason") or "Error"
        told = f": {state['message'].strip()}" if state.get("message") else ""
        return reason, f"{where} ended with exit code {state['exitCode']} ({reason}){told}"
    if condition := true_condition(job, "Failed"):
        reason = condition.get("reason") or "Failed"
        return reason, f"Job {name!r} failed: {condition.get('message') or reason}"
    return "JobDeleted", f"Job {name!r} was deleted before its flow ended"


def parse_result(outcome: Outcome, limit: int) -> Any:
    """Read the flow's result from the flow container's termination message.

    :param outcome: of a flow run that succeeded.
    :param limit: bytes of the message that the kubelet keeps (``JobSpec.result_limit``).
    :raises ResultError: it is not JSON, or larger than the limit.
    """
    text = outcome.termination_message
    remedy = "write it to storage and return a reference to it"
    if text.startswith(RESULT_ERROR):
        told = text.removeprefix(RESULT_ERROR)
        raise ResultError(f"the flow succeeded, but its result was not kept: {told}; {remedy}")
    if not text.strip():
        return None
    if len(text.encode()) >= limit:
        # The kubelet keeps the end of a longer one without a word, and an end may be JSON too.
        raise ResultError(
            f"the flow succeeded, but its result has {limit} bytes or more, which is what "
            f"Kubernetes keeps of a termination message; {remedy}"
        )
    try:
        return json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise ResultError(
            "the flow succeeded, but the termination message that it left is not JSON; write "
            "JSON to it, or set do_xcom_push=False on the task to have it ignored"
        ) from None


def _refuse_constant(name: str) -> None:
    raise ValueError(name)
