"""Read the lines of one container's log, each with its time."""

from __future__ import annotations

import asyncio
import logging
import math
import re
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from flowjob.cluster.answers import pieces_of
from flowjob.cluster.api_server import Cluster
from flowjob.cluster.errors import ApiError
from flowjob.cluster.paths import pod_path
from flowjob.kubernetes_object import KubernetesObject
from flowjob.logs.line_builder import LONGEST_LINE, TIME, LineBuilder
from flowjob.logs.log_end import LogEnd
from flowjob.text import one_line
from flowjob.timeouts import LOG_SILENCE

if TYPE_CHECKING:
    from aiohttp import ClientResponse

log = logging.getLogger(__name__)

# What the kubelet says in place of a log: of a container that is no longer there, or not readable.
_KUBELETS = re.compile(
    rb"unable to retrieve container logs for |failed to (open|get|watch|try resolving) |rpc error: "
)
# 400: the container does not run yet, or has no earlier run. 404: the pod is gone.
_NO_LOG = (400, 404)
# How a 400 says the kubelet's word, of a container of which the node knows nothing but the end.
_IS_TERMINATED = " is terminated"
# What a log that ends in the middle of a flood says.
_CUT = (
    "The log of container %r of pod %s ends within one of many lines: its node may have lost the "
    "rest, as containerd does before 1.6.22 and 1.7.3"
)
# Lines of stdout and stderr may stand in the log a little out of the order of their times.
DISORDER = timedelta(seconds=2)
# Lines that are taken in one go, in milliseconds: between them, another thread may take as many.
_PORTION = 500
# Bytes of a line that a node passes on at a time.
_PART = 16 * 1024
# Seconds between two words that a line goes on.
_PROGRESS = 1.0


class Progress(bytes):
    """That a line goes on, and what a progress bar in it shows: no line of the log by itself."""


class Unfinished(bytes):
    """What there is of a line of which the end has not come."""


async def log_lines(
    cluster: Cluster,
    pod: KubernetesObject,
    container: str,
    *,
    follow: bool = False,
    is_over: bool = False,
    previous: bool = False,
    since: str | None = None,
    tail: int | None = None,
    priority: int = 0,
) -> AsyncGenerator[bytes]:
    """Yield the lines of a container's log, each as ``TIMESTAMP TEXT``.

    Of what a carriage return takes back the last state comes; while a line that is followed goes
    on, ``Progress`` comes each second, and ``Unfinished`` where the stream ends within it. There
    are none where the container has not started or the pod is gone. What the kubelet says in place
    of a log that it has no longer goes to the log of who reads, as no line of the flow's.

    :param pod: the pod, of which its name and namespace suffice.
    :param follow: go on until the container ends.
    :param is_over: the container has ended: wait for what its node may still be writing; else a
        last line that has no end is left out.
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
    end = LogEnd()
    try:
        async with aclosing(
            _lines(cluster, path, query, end, follow=follow, is_over=is_over, priority=priority)
        ) as lines:
            async for line in lines:
                if _KUBELETS.match(line):
                    _tell_of_lost(pod, container, line.decode(errors="replace"))
                else:
                    yield line
        if end.is_cut:
            log.warning(_CUT, container, pod["metadata"]["name"])
    except ApiError as error:
        if error.code not in _NO_LOG:
            raise
        message = str(error.status.get("message", ""))
        if message.endswith(_IS_TERMINATED):
            _tell_of_lost(pod, container, message)


async def _lines(
    cluster: Cluster,
    path: str,
    query: dict[str, str],
    end: LogEnd,
    *,
    follow: bool,
    is_over: bool,
    priority: int,
) -> AsyncGenerator[bytes]:
    while True:
        end.begin()
        try:
            async with cluster.stream_log(
                path, query, follow=follow, silence=LOG_SILENCE, priority=priority
            ) as answer:
                async for line in _built(answer, with_progress=follow):
                    if isinstance(line, Unfinished) and not follow:
                        end.rest = bytes(line)
                    elif follow or end.take(line):
                        yield line
        except ApiError as error:
            # What came of the line is all that there will be.
            if end.rest_before and error.code in _NO_LOG:
                yield end.rest_before
            raise
        # The unfinished line of a stream that goes on is read again when it is done.
        if follow or not is_over:
            return
        delay = end.delay()
        if delay is None:
            if end.rest:
                yield end.rest
            return
        query |= {"sinceTime": end.since or ""}
        query.pop("tailLines", None)
        await asyncio.sleep(delay)


async def _built(answer: ClientResponse, *, with_progress: bool) -> AsyncGenerator[bytes]:
    """Yield each line, now and then that one goes on, and what is left of one."""
    builder: LineBuilder | None = None
    # Bytes of the line that have come; of the first part that a node passes on is told at once.
    came, told_at, number = 0, -math.inf, 0
    async for piece, ends_line in pieces_of(answer):
        # A flood of lines must not hold up all else in the event loop, such as a kill.
        number += 1
        if number % _PORTION == 0:
            await asyncio.sleep(0)
        if builder is None and ends_line and b"\r" not in piece and len(piece) <= LONGEST_LINE:
            yield piece
            continue
        builder = builder or LineBuilder()
        builder.add(piece)
        came += len(piece)
        if ends_line:
            yield builder.line
            builder, came = None, 0
        elif with_progress and came >= _PART and time.monotonic() - told_at >= _PROGRESS:
            told_at = time.monotonic()
            yield Progress(builder.state)
    if builder is not None:
        yield Unfinished(builder.line)


def _tell_of_lost(pod: KubernetesObject, container: str, told: str) -> None:
    """Pass the cluster's own word on that it has a log no longer."""
    log.warning(
        "The log of container %r of pod %s is not on its node any more: %s",
        container,
        pod["metadata"]["name"],
        one_line(told),
    )


def split_line(line: bytes) -> tuple[str, str]:
    """Return the time of a line, in UTC and in a form that sorts, and its text.

    A line without a time is a fragment, as the rotation of a log leaves it.
    """
    match = TIME.match(line)
    if match is None:
        return "", line.decode(errors="replace")
    second, zone = match[1].decode(), match[3].decode()
    if zone != "Z":
        # The node's own time: an hour of it comes twice at the end of summer time.
        moment = datetime.fromisoformat(second + zone).astimezone(UTC)
        second = moment.strftime("%Y-%m-%dT%H:%M:%S")
    fraction = (match[2] or b".")[1:].ljust(9, b"0").decode()
    return f"{second}.{fraction}Z", line[match.end() :].decode(errors="replace")
