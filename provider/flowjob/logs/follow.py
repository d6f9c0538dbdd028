"""Follow the logs of a flow run."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from flowjob.cluster.api_server import Cluster
from flowjob.cluster.errors import describe
from flowjob.logs.follower import LogFollower
from flowjob.logs.rotation import UnknownLines
from flowjob.logs.selection import LogSelection
from flowjob.logs.spool import LineSpool
from flowjob.status.observation import Observation
from flowjob.timeouts import LOG_FINISH_TIMEOUT

log = logging.getLogger(__name__)

# Of thousands of pods that cannot be read, so many are told one by one.
_ERRORS_TOLD = 10


class FlowLog:
    """The logs of all the pods of a flow run, each followed from when it is first seen.

    :param cluster: where the pods are.
    :param selection: which of their containers.
    :param emit: takes each line.
    :param is_held: emit none before ``finish``; default: each as it comes.
    """

    def __init__(
        self,
        cluster: Cluster,
        selection: LogSelection,
        emit: Callable[[str], None],
        *,
        is_held: bool = False,
    ) -> None:
        self._cluster = cluster
        self._selection = selection
        self._lines = LineSpool(emit, is_held=is_held)
        self._unknown = UnknownLines()
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
                    follower = LogFollower(self._cluster, pod, stream, self._lines, self._unknown)
                    self._followers[key] = follower, asyncio.create_task(follower.run())

    async def finish(self) -> None:
        """Read the logs of an ended flow run to their ends.

        A log that cannot be read costs its lines, never the outcome.
        """
        self._lines.let_go()
        for follower, _ in self._followers.values():
            follower.job_ended()
        tasks = [task for _, task in self._followers.values()]
        if not tasks:
            return
        while True:
            before = self._progress
            done, unfinished = await asyncio.wait(tasks, timeout=LOG_FINISH_TIMEOUT)
            if not unfinished or self._progress == before:
                break
        for task in unfinished:
            task.cancel()
        await self._show_the_rest()
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
        self._unknown.tell_rest()

    @property
    def _progress(self) -> int:
        """A number that grows as long as lines come or are shown."""
        return self._lines.shown + sum(
            follower.lines_read for follower, _ in self._followers.values()
        )

    async def _show_the_rest(self) -> None:
        try:
            await self._lines.finish()
        except Exception as error:
            log.warning("The flow's log cannot be shown: %r", error)

    async def close(self) -> None:
        """Stop following."""
        tasks = [task for _, task in self._followers.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._lines.close()
