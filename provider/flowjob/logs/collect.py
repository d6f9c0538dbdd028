"""Collect the logs of a flow run that nobody followed, in one go or bit by bit."""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Collection
from contextlib import aclosing
from datetime import datetime

from flowjob.cluster.api_server import Cluster
from flowjob.cluster.errors import ApiError, describe, is_transient
from flowjob.exceptions import ClusterError
from flowjob.kubernetes_object import KubernetesObject
from flowjob.logs.lines import DISORDER, log_lines, split_line
from flowjob.logs.rotation import (
    UnknownLines,
    lacks_beginning,
    run_of,
    told_of_missing,
    what_begins_late,
)
from flowjob.logs.selection import LogSelection, LogStream
from flowjob.logs.spool import LineSpool
from flowjob.status.observation import container_status, created_at

# By pod uid and container: the time of the last line that was taken.
Positions = dict[str, str]

# Lines, and characters of each, that are shown under an error.
_LAST_LINES = 10
_LONGEST_LAST_LINE = 500


async def collect_logs(
    cluster: Cluster,
    job: KubernetesObject,
    selection: LogSelection,
    emit: Callable[[str], None],
    positions: Positions,
    *,
    is_over: bool,
    without: Collection[str] = (),
) -> Positions:
    """Emit the lines that the pods of a flow run wrote since the last time, pod by pod.

    :param job: the Job, of which its metadata suffices.
    :param selection: which of the pods' containers.
    :param emit: takes each line.
    :param positions: what was returned the last time, empty the first time.
    :param is_over: take all lines; else the last two seconds are left for the next time.
    :param without: uids of pods to leave out.
    :returns: how far each log was taken.
    :raises ClusterError: the API server is away for too long, or refuses to tell.
    """
    try:
        async with LineSpool(emit) as lines:
            return await _collect(cluster, job, selection, lines, positions, is_over, without)
    except ClusterError:
        raise
    except Exception as error:
        raise ClusterError(f"the flow's log cannot be read: {describe(error)}") from None


async def _collect(
    cluster: Cluster,
    job: KubernetesObject,
    selection: LogSelection,
    lines: LineSpool,
    positions: Positions,
    is_over: bool,
    without: Collection[str],
) -> Positions:
    pods = await cluster.pods_of(job)
    taken, unknown = dict(positions), UnknownLines()
    for pod in sorted(pods, key=created_at):
        if pod["metadata"]["uid"] in without:
            continue
        for stream in selection.streams(pod):
            key = f"{pod['metadata']['uid']}/{stream.container}"
            collector = _LogCollector(stream, lines, positions.get(key, ""), is_over=is_over)
            await collector.read(cluster, pod)
            if which := collector.missing(pod):
                lines.tell(logging.WARNING, told_of_missing(pod, stream.container, which))
            elif which := collector.unknown(pod):
                unknown.tell(pod, stream.container, which)
            if is_over:
                collector.finish()
            taken[key] = collector.taken
    unknown.tell_rest()
    return taken


class _LogCollector:
    """Takes one container's log in, in the order of its times, and each line once.

    :param stream: the container.
    :param lines: takes each line.
    :param after: the time of the last line that was taken before.
    :param is_over: whether the container has ended, so that this is the last time.
    """

    def __init__(self, stream: LogStream, lines: LineSpool, after: str, *, is_over: bool) -> None:
        self.taken = after
        self._is_over = is_over
        self._stream = stream
        self._lines = lines
        self._latest = after
        # Whether the last line of the last time is still there.
        self._has_last = not after
        self._last = after
        self._first, self._size = "", 0
        # Lines that may still get an earlier one before them.
        self._held: deque[tuple[str, str]] = deque()

    async def read(self, cluster: Cluster, pod: KubernetesObject) -> None:
        """Read what is new, over what breaks off."""
        patience = cluster.patience(asked=f"the log of {pod['metadata']['name']}")
        restarted = (container_status(pod, self._stream.container) or {}).get("restartCount", 0) > 0
        for previous in (True, False) if restarted else (False,):
            while True:
                try:
                    await self._read(cluster, pod, previous=previous)
                except Exception as error:
                    await asyncio.sleep(patience.take(error))
                    # They come again.
                    self._held.clear()
                else:
                    break

    def missing(self, pod: KubernetesObject) -> str:
        """Return which lines may be missing, empty: there is no sign of that."""
        if self._stream.tail is not None or self._latest == self._last:
            return ""
        if self._last:
            return "" if self._has_last else f"after {self._last}"
        started_at = run_of(pod, self._stream.container).get("startedAt")
        first, last = self._first, self._latest
        if started_at and first and lacks_beginning(started_at, first, last, self._size):
            return f"before {first}"
        return ""

    def unknown(self, pod: KubernetesObject) -> str:
        """Return which lines there may have been, empty: there is none of which nobody knows."""
        if self._stream.tail is not None:
            return ""
        if self._last:
            return f"after {self._last}" if self._is_over and not self._has_last else ""
        # As long as nothing is taken, the same is seen the next time.
        is_last_look = self._is_over or self.taken
        return what_begins_late(pod, self._stream.container, self._first) if is_last_look else ""

    def finish(self) -> None:
        """Take also the lines that might have got an earlier one before them."""
        self._take(self._latest)

    async def _read(self, cluster: Cluster, pod: KubernetesObject, *, previous: bool) -> None:
        after = self.taken
        async with aclosing(
            log_lines(
                cluster,
                pod,
                self._stream.container,
                is_over=self._is_over or previous,
                previous=previous,
                since=after or None,
                tail=self._stream.tail,
                priority=self._stream.priority,
            )
        ) as lines:
            async for line in lines:
                time, text = split_line(line)
                self._has_last |= time == self._last
                if time and time <= after:
                    continue
                self._first = self._first or time
                self._size += len(line)
                self._latest = max(self._latest, time)
                self._held.append((time, text))
                if self._latest:
                    self._take(_earlier(self._latest))
                await self._lines.room()

    def _take(self, until: str) -> None:
        while self._held and self._held[0][0] <= until:
            time, text = self._held.popleft()
            self.taken = max(self.taken, time)
            self._lines.put(self._stream.prefix + text)


def _earlier(time: str) -> str:
    moment = datetime.fromisoformat(time[:26] + time[29:]) - DISORDER
    return f"{moment:%Y-%m-%dT%H:%M:%S.%f}000{time[29:]}"


async def last_lines(cluster: Cluster, namespace: str, pod: str, container: str) -> list[str]:
    """Read the last lines of a container that failed; none where its pod is gone.

    :raises ClusterError: they may not be read.
    """
    place = {"metadata": {"name": pod, "namespace": namespace}}
    try:
        async with aclosing(
            log_lines(cluster, place, container, is_over=True, tail=_LAST_LINES)
        ) as lines:
            return [split_line(line)[1][:_LONGEST_LAST_LINE] async for line in lines]
    except Exception as error:
        if not (isinstance(error, ApiError) or is_transient(error)):
            raise
        raise ClusterError(f"the last lines cannot be read: {describe(error)}") from None
