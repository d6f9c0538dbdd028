"""Follow the log of one container: every line once, over reconnects and restarts."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from flowjob.cluster.api_server import Cluster
from flowjob.cluster.errors import ApiError
from flowjob.cluster.paths import pod_path
from flowjob.cluster.patience import REFUSALS
from flowjob.kubernetes_object import KubernetesObject
from flowjob.logs.cursor import LogCursor
from flowjob.logs.lines import Progress, Unfinished, log_lines, split_line
from flowjob.logs.rotation import UnknownLines, is_late, told_of_missing, what_begins_late
from flowjob.logs.selection import LogStream
from flowjob.logs.spool import LineSpool
from flowjob.status.observation import container_status, is_started_again, termination
from flowjob.timeouts import PROGRESS_SHOWN, STATUS_LAG


class LogFollower:
    """Follows one container of one pod.

    :param cluster: where the pod is.
    :param pod: the pod as it was first seen.
    :param stream: the container.
    :param lines: takes each line.
    :param unknown: is told of lines that may have been there before.
    """

    def __init__(
        self,
        cluster: Cluster,
        pod: KubernetesObject,
        stream: LogStream,
        lines: LineSpool,
        unknown: UnknownLines,
    ) -> None:
        self._cluster = cluster
        self._pod = pod
        self._stream = stream
        self._lines = lines
        self._unknown = unknown
        self._cursor = LogCursor()
        # Whether there may have been lines before the first; None: the log was not read yet.
        self._is_late = None if stream.tail is None else False
        name = pod["metadata"]["name"]
        self._patience = cluster.patience(asked=f"the log of {name}")
        # Lines that came so far, also those that had come before.
        self.lines_read = 0
        self._next_progress = 0.0
        # What came last of a stream that ended within a line.
        self._unfinished = b""
        self._job_ended = False
        self._news = asyncio.Event()
        self._stream_limit: asyncio.Timeout | None = None

    def see(self, pod: KubernetesObject) -> None:
        """Take the pod as it was just seen."""
        self._pod = pod
        self._news.set()

    def job_ended(self) -> None:
        """Say that the Job is over: the container will not start, or start again."""
        self._job_ended = True
        self._news.set()
        self._give_stream_time()

    def _give_stream_time(self) -> None:
        """Give the stream of an ended flow run up soon, unless lines still come."""
        limit = self._stream_limit
        if self._job_ended and limit is not None and not limit.expired():
            limit.reschedule(asyncio.get_running_loop().time() + STATUS_LAG)

    async def run(self) -> None:
        """Follow the log until the container has ended for good and its log is read.

        :raises ApiError: the right to read logs is missing.
        :raises ClusterError: the API server is away for too long.
        """
        try:
            await self._run()
            self._tell_of_unknown()
        finally:
            # Thousands of pods may have ended: none needs to know any more which lines were read.
            self._cursor = LogCursor()

    async def _run(self) -> None:
        restarts, read = 0, ""
        while True:
            self._news.clear()
            status = container_status(self._pod, self._stream.container) or {}
            state = status.get("state") or {}
            ended, before = termination(status), termination(status, "lastState")
            if status.get("restartCount", 0) > restarts:
                restarts = status["restartCount"]
                if not read or _run_of(before) != read:
                    await self._read_to_end(previous=True)
                self._cursor.begin_another()
            if ended and (self._job_ended or not self._is_started_again(ended)):
                await self._read_to_end()
                return
            done = "" if "running" in state else _run_of(ended or before)
            if done not in ("", read) and not self._job_ended:
                # At once: its kubelet may have removed it by the time that the next run is seen.
                await self._read_to_end()
                read = done
            if "running" in state:
                await self._follow()
            if self._job_ended:
                # The stream may have been given up, or have ended early.
                await self._read_to_end()
                return
            if "running" not in state:
                await self._news.wait()

    async def _follow(self) -> None:
        running = self._running
        limit = asyncio.timeout(STATUS_LAG if self._job_ended else None)
        try:
            async with limit as self._stream_limit:
                try:
                    await self._read(follow=True)
                finally:
                    # What comes after the stream has no use for its limit.
                    self._stream_limit = None
        except Exception as error:
            if limit.expired():
                return
            await self._wait_for_news(self._patience.take(error))
            # The container may have been restarted meanwhile: its log is another one then.
            await self._refresh()
        else:
            await self._wait_for_end(running)

    @property
    def _running(self) -> KubernetesObject | None:
        status = container_status(self._pod, self._stream.container) or {}
        return (status.get("state") or {}).get("running")

    async def _wait_for_end(self, running: KubernetesObject | None) -> None:
        """Wait a moment until a run is seen to have ended as its stream has; other news may come.

        :param running: the run's state.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(STATUS_LAG):
                while not self._job_ended and self._running == running:
                    self._news.clear()
                    await self._news.wait()

    async def _wait_for_news(self, longest: float) -> None:
        try:
            async with asyncio.timeout(longest):
                await self._news.wait()
        except TimeoutError:
            return

    async def _refresh(self) -> None:
        # It may have broken off with the API server, and one that has just started knows no rights.
        patience = self._cluster.patience(REFUSALS, asked="the pod whose log broke off")
        try:
            self._pod = await self._cluster.request("GET", pod_path(self._pod), patience=patience)
        except ApiError as error:
            if error.code != 404:
                raise

    async def _read_to_end(self, *, previous: bool = False) -> None:
        """Read what there is of the log, over what breaks off; no line is told twice."""
        while True:
            try:
                await self._read(previous=previous)
            except Exception as error:
                await asyncio.sleep(self._patience.take(error))
            else:
                return

    async def _read(self, *, follow: bool = False, previous: bool = False) -> None:
        """Emit the lines that are new, to the end of the stream."""
        since, is_first = self._cursor.since, True
        if self._is_late is None:
            self._is_late = is_late(self._pod, self._stream.container, self._cluster.now)
        self._cursor.begin()
        async for line in log_lines(
            self._cluster,
            self._pod,
            self._stream.container,
            follow=follow,
            is_over=not follow,
            previous=previous,
            since=since,
            tail=self._stream.tail,
            priority=self._stream.priority,
        ):
            if is_first:
                is_first = False
                self._patience.settle()
                # A right that was there is not missing.
                self._patience.doubted = REFUSALS
            self.lines_read += 1
            if follow:
                self._give_stream_time()
            if isinstance(line, Progress):
                self._show(line)
            elif isinstance(line, Unfinished):
                self._unfinished = line
            else:
                self._take(line)
                await self._lines.room()

    def _take(self, line: bytes) -> None:
        """Emit a line that is new."""
        text = self._cursor.take(line, self._cluster.now)
        if text is None:
            return
        if self._cursor.lost_after is not None:
            self._tell_of_missing(line)
        if self._is_late:
            self._tell_of_unknown(split_line(line)[0])
        self._unfinished = b""
        self._lines.put(self._stream.prefix + text)

    def _tell_of_unknown(self, first: str = "") -> None:
        """Say, before the first line, whether there may have been others; or where none came."""
        if self._is_late and (which := what_begins_late(self._pod, self._stream.container, first)):
            self._unknown.tell(self._pod, self._stream.container, which)
        self._is_late = False

    def _tell_of_missing(self, line: bytes) -> None:
        """Say that lines may be missing before this one, and show what came of the first."""
        begun, text = split_line(self._unfinished)
        if text and begun != split_line(line)[0]:
            self._lines.put(self._stream.prefix + text)
        which = f"after {self._cursor.lost_after}"
        self._lines.tell(logging.WARNING, told_of_missing(self._pod, self._stream.container, which))
        self._cursor.lost_after = None

    def _show(self, progress: Progress) -> None:
        """Show now and then what a progress bar shows: its line may be done in hours."""
        now = asyncio.get_running_loop().time()
        if progress and now >= self._next_progress:
            self._next_progress = now + PROGRESS_SHOWN
            self._lines.put(self._stream.prefix + split_line(progress)[1])

    def _is_started_again(self, ended: KubernetesObject) -> bool:
        return is_started_again(self._pod, self._stream.container, ended["exitCode"])


def _run_of(ended: KubernetesObject | None) -> str:
    """Return which run of a container has ended, by the id that each has; empty: unknown."""
    return (ended or {}).get("containerID") or ""
