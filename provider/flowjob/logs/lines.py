"""Read the lines of one container's log, each with its time."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

from flowjob.cluster.answers import lines_of
from flowjob.cluster.api_server import Cluster
from flowjob.cluster.errors import ApiError
from flowjob.cluster.paths import pod_path
from flowjob.kubernetes_object import KubernetesObject
from flowjob.text import one_line
from flowjob.timeouts import LOG_SILENCE, LOG_WRITING

log = logging.getLogger(__name__)

# What Kubernetes puts before each line: the time to the second, its fraction, and the time zone.
LINE = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d) ")
# What the kubelet says in place of a log: of a container that is no longer there, or not readable.
_KUBELETS = re.compile(
    rb"unable to retrieve container logs for |failed to (open|get|watch|try resolving) |rpc error: "
)
# Lines of stdout and stderr may stand in the log a little out of the order of their times.
DISORDER = timedelta(seconds=2)


async def log_lines(
    cluster: Cluster,
    pod: KubernetesObject,
    container: str,
    *,
    follow: bool = False,
    previous: bool = False,
    since: str | None = None,
    tail: int | None = None,
    priority: int = 0,
) -> AsyncGenerator[bytes]:
    """Yield the lines of a container's log, each as ``TIMESTAMP TEXT``.

    There are none where the container has not started or the pod is gone. What the kubelet says in
    place of a log that it has no longer goes to the log of who reads, as no line of the flow's.

    :param pod: the pod, of which its name and namespace suffice.
    :param follow: go on until the container ends.
    :param previous: read the log of the container before its last restart.
    :param since: from when on (RFC 3339; Kubernetes looks at whole seconds alone).
    :param tail: only so many of the last lines.
    :param priority: of many logs that wait to be read, those with the lowest come first.
    :raises ApiError: the right to read logs is missing.
    """
    query = {"container": container, "timestamps": "true"}
    query |= {"follow": "true"} if follow else {}
    query |= {"previous": "true"} if previous else {}
    query |= {"sinceTime": since} if since else {}
    query |= {"tailLines": str(tail)} if tail else {}
    path = f"{pod_path(pod)}/log"
    async with aclosing(_lines(cluster, path, query, follow=follow, priority=priority)) as lines:
        async for line in lines:
            if not _is_kubelets(line, pod, container):
                yield line


async def _lines(
    cluster: Cluster, path: str, query: dict[str, str], *, follow: bool, priority: int
) -> AsyncGenerator[bytes]:
    unfinished, time, unchanged = b"", b"", 0
    while True:
        rest, is_new = b"", not unfinished
        try:
            async with cluster.stream_log(
                path, query, follow=follow, silence=LOG_SILENCE, priority=priority
            ) as answer:
                async for line in lines_of(answer):
                    if not line.endswith(b"\n"):
                        rest = line
                        continue
                    is_new = is_new or line.startswith(time)
                    if is_new:
                        yield line[:-1]
        except ApiError as error:
            # 400: the container does not run yet, or has no earlier run. 404: the pod is gone.
            if error.code not in (400, 404):
                raise
        if not is_new:
            rest = unfinished
        # The unfinished line of a stream that goes on is read again when it is done.
        if not rest or follow:
            return
        match = LINE.match(rest)
        unchanged = unchanged + 1 if rest == unfinished else 0
        if match is None or unchanged == len(LOG_WRITING):
            yield rest
            return
        # The node may still be writing the end of a container that ended just now.
        unfinished, time = rest, match.group()
        query["sinceTime"] = (match[1] + match[3]).decode()
        query.pop("tailLines", None)
        await asyncio.sleep(LOG_WRITING[unchanged])


def _is_kubelets(line: bytes, pod: KubernetesObject, container: str) -> bool:
    """Tell whether a line is the kubelet's own word, and pass that on."""
    if not _KUBELETS.match(line):
        return False
    name = pod["metadata"]["name"]
    log.warning(
        "The log of container %r of pod %s is not on its node any more: %s",
        container,
        name,
        one_line(line.decode(errors="replace")),
    )
    return True


def split_line(line: bytes) -> tuple[str, str]:
    """Return the time of a line, in UTC and in a form that sorts, and its text.

    A line without a time is a fragment, as the rotation of a log leaves it.
    """
    match = LINE.match(line)
    if match is None:
        return "", line.decode(errors="replace")
    second, zone = match[1].decode(), match[3].decode()
    if zone != "Z":
        # The node's own time: an hour of it comes twice at the end of summer time.
        moment = datetime.fromisoformat(second + zone).astimezone(UTC)
        second = moment.strftime("%Y-%m-%dT%H:%M:%S")
    fraction = (match[2] or b".")[1:].ljust(9, b"0").decode()
    return f"{second}.{fraction}Z", line[match.end() :].decode(errors="replace")
