"""Whose result counts in a Job of several pods.

Pure: no Airflow, no Kubernetes client.
"""

from __future__ import annotations

from flowjob.flows.runner import RESULT_ERROR
from flowjob.kubernetes_object import KubernetesObject
from flowjob.status.job import has_many_pods
from flowjob.status.observation import (
    Observation,
    completion_index,
    flow_ended_at,
    terminated_state,
)
from flowjob.status.warnings import is_doubtful

# Bytes that the results of all indexes may have together: what is little to a database.
_LONGEST = 2**20


def leader_of(job: KubernetesObject) -> str | None:
    """Return the index whose end makes the Job a success, where its success policy names one."""
    policy = (job.get("spec") or {}).get("successPolicy") or {}
    named = [str(rule.get("succeededIndexes", "")) for rule in policy.get("rules") or []]
    return next((index for index in named if index.isdecimal()), None)


def is_leader(job: KubernetesObject, pod: KubernetesObject) -> bool:
    """Tell whether a pod is of the index that ``leader_of`` names."""
    leader = leader_of(job)
    return leader is not None and completion_index(pod) == leader


def messages_by_index(observation: Observation) -> list[str] | None:
    """Return what the flow left as its result in each index, empty where it left nothing.

    :param observation: of a Job that is Complete.
    :returns: None where one pod's result is the flow run's: it is no Indexed Job of several pods,
        or its success policy names a leader.
    """
    job = observation.job
    spec = job.get("spec") or {}
    if spec.get("completionMode") != "Indexed" or not has_many_pods(job) or leader_of(job):
        return None
    messages = [""] * int(spec.get("completions") or 0)
    for pod in sorted(observation.pods.values(), key=flow_ended_at):
        index, state = completion_index(pod), terminated_state(pod)
        if index is None or state is None or state["exitCode"] != 0 or is_doubtful(state):
            continue
        if int(index) < len(messages):
            messages[int(index)] = state.get("message") or ""
    size = sum(len(message.encode(errors="surrogatepass")) for message in messages)
    if size > _LONGEST:
        told = f"those of all indexes have {size} bytes together and {_LONGEST} fit"
        return [f"{RESULT_ERROR}{told}"]
    return messages
