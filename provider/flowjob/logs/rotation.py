"""What a node no longer has of a log, as far as that can be known, and how it is told."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

from flowjob.kubernetes_object import KubernetesObject
from flowjob.status.observation import container_status, created_at

log = logging.getLogger(__name__)

# Bytes of a container's log after which a kubelet begins a new file (containerLogMaxSize), of which
# it gives the last one.
_FILE = 10 * 2**20
# A kubelet looks so often whether to begin a new file, less the second that rounding costs.
ROTATION = timedelta(seconds=9)
# Of thousands of pods of which more may have been there, so many are told one by one.
_TOLD = 10


def lacks_beginning(started_at: str, first: str, last: str, size: int) -> bool:
    """Tell whether the beginning of a log may be missing, which the log itself does not show.

    It may where it begins late, and as fast as it goes there was more before than a node keeps.

    :param started_at: when its container started (RFC 3339).
    :param first: the time of its first line.
    :param last: that of its last line.
    :param size: its bytes.
    """
    before = (datetime.fromisoformat(first) - datetime.fromisoformat(started_at)).total_seconds()
    during = (datetime.fromisoformat(last) - datetime.fromisoformat(first)).total_seconds()
    return size / max(during, 1) * before >= _FILE


def told_of_missing(pod: KubernetesObject, container: str, which: str) -> str:
    """Return the words for lines that may be missing.

    :param which: those before or after some time.
    """
    return (
        f"Lines of container {container!r} of pod {pod['metadata']['name']} {which} may be "
        "missing: the flow writes faster than they are read here, and its node keeps the last "
        "10 MiB or so"
    )


def is_late(pod: KubernetesObject, container: str, now: datetime) -> bool:
    """Tell whether a node had the time to throw lines away before now.

    :param now: the time of the node, as far as is known.
    """
    started_at = run_of(pod, container).get("startedAt")
    return started_at is not None and now - datetime.fromisoformat(started_at) >= ROTATION


def what_begins_late(pod: KubernetesObject, container: str, first: str) -> str:
    """Return before when a node had the time to throw lines away, of which it shows nothing.

    A flow that was silent at first looks the same.

    :param first: the time of the first line that is there, empty: there is none.
    :returns: ``before TIME``; empty: it had not.
    """
    run = run_of(pod, container)
    started_at, until = run.get("startedAt") or "", first or run.get("finishedAt")
    # What never ran has started in 1970.
    if not until or started_at < created_at(pod):
        return ""
    is_late = datetime.fromisoformat(until) - datetime.fromisoformat(started_at) >= ROTATION
    return f"before {until}" if is_late else ""


def run_of(pod: KubernetesObject, container: str) -> KubernetesObject:
    """Return when a container's last run started and, if it has, ended; empty: it has not run."""
    state = (container_status(pod, container) or {}).get("state") or {}
    run: KubernetesObject = state.get("terminated") or state.get("running") or {}
    return run


class UnknownLines:
    """Tells of lines that may have been there, where neither log nor node say so."""

    def __init__(self) -> None:
        self._count = 0

    def tell(self, pod: KubernetesObject, container: str, which: str) -> None:
        """Say that there may have been lines.

        :param which: those before or after some time.
        """
        self._count += 1
        if self._count <= _TOLD:
            log.info(
                "Container %r of pod %s has no lines %s: it wrote none, or its node, which keeps "
                "the last 10 MiB or so, has thrown them away",
                container,
                pod["metadata"]["name"],
                which,
            )

    def tell_rest(self) -> None:
        """Say of how many more that is so."""
        if self._count > _TOLD:
            log.info("Nor is it known of %d more containers", self._count - _TOLD)
