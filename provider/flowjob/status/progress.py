"""What there is to tell of a flow run on its way, one line a change.

Pure: no Airflow, no Kubernetes client.
"""

from __future__ import annotations

from collections.abc import Iterator

from flowjob.kubernetes_object import KubernetesObject
from flowjob.status.job import has_many_pods
from flowjob.status.observation import (
    Observation,
    flow_container_status,
    running_beside_ended_flow,
    terminated_state,
)
from flowjob.status.start import diagnose_start, is_suspended
from flowjob.status.warnings import pod_warnings


class Progress:
    """Remembers what was told of a flow run."""

    def __init__(self) -> None:
        self._told: dict[str, str] = {}

    def news(self, observation: Observation) -> Iterator[str]:
        """Yield the lines that say what is new."""
        for about, line in _lines(observation):
            if self._told.get(about) != line:
                self._told[about] = line
                if line:
                    yield line


def _lines(observation: Observation) -> Iterator[tuple[str, str]]:
    """Yield what is now the case with the Job and with each of its pods."""
    job = observation.job
    suspended = f"The Job {job['metadata']['name']} is suspended, and waited for"
    yield "job", suspended if is_suspended(observation) else ""
    pods = sorted(
        observation.pods.items(), key=lambda entry: str(entry[1]["metadata"]["creationTimestamp"])
    )
    # Pods that are there side by side by design are no attempts of one another.
    is_one = not has_many_pods(job)
    backoff_limit = (job.get("spec") or {}).get("backoffLimit") if is_one else None
    attempt = 0
    for uid, pod in pods:
        restarts = (flow_container_status(pod) or {}).get("restartCount", 0)
        attempt = 1 + restarts + (attempt if is_one else 0)
        yield uid, _pod_line(pod, attempt, backoff_limit)
        yield f"{uid} beside", _line_of_others(pod)
        for container, line in pod_warnings(pod):
            yield f"{uid} of {container}", line


def _pod_line(pod: KubernetesObject, attempt: int, backoff_limit: int | None) -> str:
    name, node = pod["metadata"]["name"], pod["spec"].get("nodeName")
    state = (flow_container_status(pod) or {}).get("state") or {}
    of = f" of {backoff_limit + 1}" if backoff_limit else ""
    which = f"Pod {name}" + (f", attempt {attempt}{of}," if attempt > 1 else "")
    if (ended := terminated_state(pod)) is not None:
        return f"{which} ended its flow with exit code {ended['exitCode']}"
    if "running" in state:
        return f"{which} runs the flow on node {node}"
    cause = diagnose_start(Observation({"metadata": {"name": ""}}, {"": pod}))
    if cause is not None:
        return f"{which} waits: {cause.message}"
    return f"{which} is scheduled to node {node}" if node else f"{which} is created"


def _line_of_others(pod: KubernetesObject) -> str:
    names = ", ".join(running_beside_ended_flow(pod))
    return (
        f"The flow has ended, and these containers of its pod still run: {names}" if names else ""
    )
