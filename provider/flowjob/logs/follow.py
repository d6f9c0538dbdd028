"""Follow the logs of a flow run: every line once, over reconnects and restarts."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from datetime import datetime

from flowjob.cluster.api_server import Cluster
from flowjob.cluster.errors import ApiError, describe
from flowjob.cluster.paths import pod_path
from flowjob.kubernetes_object import KubernetesObject
from flowjob.logs.line_builder import TIME
from flowjob.logs.lines import DISORDER, Progress, log_lines, split_line
from flowjob.logs.rotation import tell_of_missing
from flowjob.logs.selection import LogSelection, LogStream
from flowjob.status.observation import Observation, container_status, is_started_again
from flowjob.timeouts import LOG_FINISH_TIMEOUT, PROGRESS_SHOWN, STATUS_LAG

log = logging.getLogger(__name__)

Emit = Callable[[str], None]

# Of thousands of pods that cannot be read, so many are told one by one.
_ERRORS_TOLD = 10
# So many timestamps are kept before the old ones are forgotten.
_PRUNE_AT = 10_000


class LogCursor:
    """How far a log was read, and which of its last lines were seen.

    Kubernetes' ``sinceTime`` has whole seconds, so a log that is taken up again begins with lines
    that were read before; their timestamps tell them. CRI-O gives all lines of one write the same:
    there, the position among those of one timestamp does.
    """

    def __init__(self) -> None:
        # By timestamp: how many lines were taken, and how many came since the log was last begun.
        self._taken: dict[bytes, int] = {}
        self._came: dict[bytes, int] = {}
        self._latest: datetime | None = None
        # The timestamp of the last line that was taken, and its position; and whether a log that is
        # read again has not come to it yet.
        self._last: tuple[re.Match[bytes], int] | None = None
        self._is_behind = False
        #: The time of the last line before some that are missing, as far as is known; None: none.
        self.lost_after: str | None = None
        self._prune_at = _PRUNE_AT

    @property
    def since(self) -> str | None:
        """From when the log is to be read again (RFC 3339), None: from its beginning."""
        return (self._latest - DISORDER).isoformat() if self._latest else None

    def begin(self) -> None:
        """Take it that the log is read from ``since`` on again."""
        self._came.clear()
        # A line that stood far out of order does not come again.
        self._is_behind = (
            self._last is not None
            and self._latest is not None
            and _second_of(self._last[0]) >= self._latest - DISORDER
        )

    def take(self, line: bytes) -> str | None:
        """Return the text of a line ``TIMESTAMP TEXT``, None where it was taken before.

        A node keeps a long line in pieces of 16 KiB, each with its time: a log that is read again
        may begin with the last of them, which was told with its line.
        """
        match = TIME.match(line)
        if match is None:
            # A fragment, as the rotation of a log leaves it.
            return None if self._is_behind else line.decode(errors="replace")
        timestamp, text = match.group(), line[match.end() :]
        position = self._came[timestamp] = self._came.get(timestamp, 0) + 1
        if position <= self._taken.get(timestamp, 0):
            if self._last and (timestamp, position) == (self._last[0].group(), self._last[1]):
                self._is_behind = False
            return None
        if self._is_behind and self._last:
            if _moment_of(match) < _moment_of(self._last[0]):
                return None
            # It would have come before: its log was rotated away.
            self.lost_after = self._last[0].group().decode().strip()
        self._is_behind = False
        self._last = match, position
        self._taken[timestamp] = position
        second = _second_of(match)
        self._latest = max(second, self._latest or second)
        if len(self._taken) >= self._prune_at:
            self._prune(self._latest - DISORDER)
        return text.decode(errors="replace")

    def _prune(self, since: datetime) -> None:
        """Forget the lines that are not sent again; seldom, as a burst may be in one second."""
        kept = {
            stamp
            for stamp in self._taken
            if (match := TIME.match(stamp)) and _second_of(match) >= since
        }
        self._taken = {stamp: self._taken[stamp] for stamp in kept}
        self._came = {stamp: count for stamp, count in self._came.items() if stamp in kept}
        self._prune_at = max(_PRUNE_AT, 2 * len(kept))


def _moment_of(match: re.Match[bytes]) -> tuple[datetime, bytes]:
    return _second_of(match), (match[2] or b"").ljust(10, b"0")


def _second_of(match: re.Match[bytes]) -> datetime:
    return datetime.fromisoformat((match[1] + match[3]).decode())


class LogFollower:
    """Follows one container of one pod.

    :param cluster: where the pod is.
    :param pod: the pod as it was first seen.
    :param stream: the container.
    :param emit: takes each line.
    """

    def __init__(
        self, cluster: Cluster, pod: KubernetesObject, stream: LogStream, emit: Emit
    ) -> None:
        self._cluster = cluster
        self._pod = pod
        self._stream = stream
        self._emit = emit
        self._cursor = LogCursor()
        name = pod["metadata"]["name"]
        self._patience = cluster.patience(asked=f"the log of {name}")
        # Lines that came so far, also those that had come before.
        self.lines_read = 0
        self._next_progress = 0.0
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
        finally:
            # Thousands of pods may have ended: none needs to know any more which lines were read.
            self._cursor = LogCursor()

    async def _run(self) -> None:
        restarts = 0
        while True:
            self._news.clear()
            status = container_status(self._pod, self._stream.container) or {}
            state = status.get("state") or {}
            if status.get("restartCount", 0) > restarts:
                restarts = status["restartCount"]
                await self._read_to_end(previous=True)
            ended = state.get("terminated")
            if ended and (self._job_ended or not self._is_started_again(ended)):
                await self._read_to_end()
                return
            if "running" in state:
                await self._follow()
            if self._job_ended:
                # The stream may have been given up, or have ended early.
                await self._read_to_end()
                return
            if "running" not in state:
                await self._news.wait()

    async def _follow(self) -> None:
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
            await self._wait_for_news(STATUS_LAG)

    async def _wait_for_news(self, longest: float) -> None:
        try:
            async with asyncio.timeout(longest):
                await self._news.wait()
        except TimeoutError:
            return

    async def _refresh(self) -> None:
        try:
            self._pod = await self._cluster.request("GET", pod_path(self._pod))
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
        self._cursor.begin()
        async for line in log_lines(
            self._cluster,
            self._pod,
            self._stream.container,
            follow=follow,
            previous=previous,
            since=since,
            tail=self._stream.tail,
            priority=self._stream.priority,
        ):
            if is_first:
                is_first = False
                self._patience.settle()
            self.lines_read += 1
            if follow:
                self._give_stream_time()
            if isinstance(line, Progress):
                self._show(line)
            elif (text := self._cursor.take(line)) is not None:
                if self._cursor.lost_after is not None:
                    which = f"after {self._cursor.lost_after}"
                    tell_of_missing(self._pod, self._stream.container, which)
                    self._cursor.lost_after = None
                self._emit(self._stream.prefix + text)

    def _show(self, progress: Progress) -> None:
        """Show now and then what a progress bar shows: its line may be done in hours."""
        now = asyncio.get_running_loop().time()
        if progress and now >= self._next_progress:
            self._next_progress = now + PROGRESS_SHOWN
            self._emit(self._stream.prefix + split_line(progress)[1])

    def _is_started_again(self, ended: KubernetesObject) -> bool:
        return is_started_again(self._pod, self._stream.container, ended["exitCode"])


class FlowLog:
    """The logs of all the pods of a flow run, each followed from when it is first seen.

    :param cluster: where the pods are.
    :param selection: which of their containers.
    :param emit: takes each line.
    """

    def __init__(self, cluster: Cluster, selection: LogSelection, emit: Emit) -> None:
        self._cluster = cluster
        self._selection = selection
        self._emit = emit
        # By pod uid and container.
        self._followers: dict[tuple[str, str], tuple[LogFollower, asyncio.Task[None]]] = {}

    def see(self, observation: Observation) -> None:
        """Take the pods as they were just seen."""
        for uid, pod in observation.pods.items():
            for stream in self._selection.streams(pod):
                key = uid, stream.container
                if key in self._followers:
                    self._followers[key][0].see(pod)
                else:
                    follower = LogFollower(self._cluster, pod, stream, self._emit)
                    self._followers[key] = follower, asyncio.create_task(follower.run())

    async def finish(self) -> None:
        """Read the logs of an ended flow run to their ends.

        A log that cannot be read costs its lines, never the outcome.
        """
        for follower, _ in self._followers.values():
            follower.job_ended()
        tasks = [task for _, task in self._followers.values()]
        if not tasks:
            return
        while True:
            before = self._lines_read()
            done, unfinished = await asyncio.wait(tasks, timeout=LOG_FINISH_TIMEOUT)
            if not unfinished or self._lines_read() == before:
                break
        if unfinished:
            log.warning(
                "The flow's log was not read to its end: no line has come for %s s",
                LOG_FINISH_TIMEOUT,
            )
        errors = [error for task in done if (error := task.exception())]
        for error in errors[:_ERRORS_TOLD]:
            log.warning("The flow's log cannot be read: %s", describe(error))
        if more := errors[_ERRORS_TOLD:]:
            log.warning("Nor can %d more logs of the flow's", len(more))

    def _lines_read(self) -> int:
        return sum(follower.lines_read for follower, _ in self._followers.values())

    async def close(self) -> None:
        """Stop following."""
        tasks = [task for _, task in self._followers.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
