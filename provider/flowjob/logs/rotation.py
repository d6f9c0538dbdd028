"""What a node no longer has of a log, as far as that can be known, and how it is told."""

from __future__ import annotations

import logging
from datetime import datetime

from flowjob.kubernetes_object import KubernetesObject

log = logging.getLogger(__name__)

# Bytes of a container's log after which a kubelet begins a new file (containerLogMaxSize), of which
# it gives the last one.
_FILE = 10 * 2**20


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


def tell_of_missing(pod: KubernetesObject, container: str, which: str) -> None:
    """Say that lines may be missing.

    :param which: those before or after some time.
    """
    log.warning(
        "Lines of container %r of pod %s %s may be missing: the flow writes faster than they are "
        "read here, and its node keeps the last 10 MiB or so",
        container,
        pod["metadata"]["name"],
        which,
    )
