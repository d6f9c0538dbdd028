"""What went wrong although the flow run goes on, or succeeded.

Pure: no Airflow, no Kubernetes client, no clock.
"""

from __future__ import annotations

from collections.abc import Iterator

from flowjob.kubernetes_object import KubernetesObject
from flowjob.status.diagnosis import container_cause, place_of, tell_memory_limit, tell_restarts
from flowjob.status.observation import (
    Observation,
    all_container_statuses,
    flow_container_name,
    terminated_state,
    termination,
)


def pod_warnings(pod: KubernetesObject) -> Iterator[tuple[str, str]]:
    """Yield what is wrong with a pod whose flow runs or succeeded: container and sentence.

    :param pod: a pod of a flow run that did not fail, or not yet.
    """
    state = terminated_state(pod)
    flow = flow_container_name(pod)
    if state is not None and is_doubtful(state):
        yield (
            flow,
            f"Container {flow!r} of {place_of(pod)} ended with exit code 0, but the reason "
            f"{state['reason']}{tell_memory_limit(pod, flow)}: "
            "what it left as its result is not taken",
        )
    for status in all_container_statuses(pod):
        name, last = status["name"], termination(status, "lastState")
        if last is None and status.get("restartCount"):
            # What a kubelet has removed already, it does not tell any more.
            last = termination(status, "state")
        if name != flow and last is not None and last["exitCode"] != 0:
            told = container_cause(pod, name, last).message
            where = f"in {place_of(pod)}; {tell_restarts(status)}"
            yield name, f"{told[:1].upper()}{told[1:]}, {where}"


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
