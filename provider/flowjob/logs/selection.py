"""Which containers' logs come into the task's log, and what their lines begin with.

Pure: no Airflow, no Kubernetes client.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from flowjob.kubernetes_object import KubernetesObject
from flowjob.status.observation import (
    all_container_statuses,
    completion_index,
    container_names,
    flow_container_name,
    restart_policy,
)

# So many of the last lines of a container that failed are told where its log was not asked for.
LAST_LINES = 100


@dataclass(frozen=True)
class LogStream:
    """The log of one container of a pod.

    :param container: the container's name.
    :param prefix: what each of its lines begins with.
    :param tail: how many of its last lines are wanted; None: all.
    :param priority: of many that wait to be read, those with the lowest come first.
    """

    container: str
    prefix: str
    tail: int | None = None
    priority: int = 0


@dataclass(frozen=True)
class LogSelection:
    """What ``log_containers`` of the operator asks for.

    :param containers: ``"flow"`` (default): the flow container; ``"all"``: every container, init
        containers and sidecars, too; or their names.
    :param by_pod: whether lines say which pod they are from, as several run at once.
    """

    containers: str | Sequence[str] = "flow"
    by_pod: bool = False

    def streams(self, pod: KubernetesObject) -> list[LogStream]:
        """Return the logs of a pod that are wanted: those asked for, and of what failed its end."""
        wanted = self._asked_for(pod)
        flow = flow_container_name(pod)
        streams = [
            LogStream(name, self._prefix(pod, name), priority=0 if name == flow else 1)
            for name in wanted
        ]
        return streams + [
            LogStream(name, self._prefix(pod, name, named=True), LAST_LINES)
            for name in _failed(pod)
            if name not in wanted
        ]

    def _asked_for(self, pod: KubernetesObject) -> list[str]:
        if self.containers == "flow":
            return [flow_container_name(pod)]
        if self.containers == "all":
            return container_names(pod)
        return [name for name in container_names(pod) if name in self.containers]

    def _prefix(self, pod: KubernetesObject, container: str, *, named: bool = False) -> str:
        words = []
        if self.by_pod:
            words.append(completion_index(pod) or pod["metadata"]["name"])
        if named or self.containers != "flow":
            words.append(container)
        return f"[{' '.join(words)}] " if words else ""


def _failed(pod: KubernetesObject) -> Iterator[str]:
    """Yield the containers that failed; a native sidecar is ended by force when all is well."""
    for status in all_container_statuses(pod):
        states = (status.get("state") or {}, status.get("lastState") or {})
        codes = [state["terminated"]["exitCode"] for state in states if "terminated" in state]
        if any(codes) and restart_policy(pod, status["name"]) != "Always":
            yield status["name"]
