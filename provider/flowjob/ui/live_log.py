"""``LiveLog``: the lines of a flow run as they come, straight from the cluster; nothing is stored.

Server-sent events: ``begin``, ``lines`` (a JSON list), and ``end`` (a sentence), after which a
browser is not to come again. One that is cut off comes again by itself, and is asked who it is.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import ClassVar

from flowjob.cluster.api_server import Cluster
from flowjob.exceptions import FlowJobError
from flowjob.flow_run import FLOW_RUN_ID_LABEL, label
from flowjob.kubernetes_object import KubernetesObject
from flowjob.logs.selection import LogSelection, LogStream
from flowjob.status.job import has_many_pods
from flowjob.text import one_line
from flowjob.ui.job_place import JobPlace
from flowjob.ui.line_buffer import LineBuffer
from flowjob.wait.until_end import wait_for_outcome

log = logging.getLogger(__name__)

# Live logs that one API server's process shows at once.
MOST_STREAMS = 20
# Of what was written before, so many lines are shown.
_EARLIER_LINES = 1000
# Seconds: between two looks for lines, two signs of life, and until rights are looked at again.
_INTERVAL = 0.2
_SIGN_OF_LIFE = 15.0
_LONGEST_STREAM = 1800.0


class TooManyError(FlowJobError):
    """Says that no more live logs are shown at once."""


class _Recent(LogSelection):
    """The flow container's log, from its last lines on."""

    def streams(self, pod: KubernetesObject) -> list[LogStream]:
        streams = super().streams(pod)
        return [replace(each, tail=each.tail or _EARLIER_LINES) for each in streams]


class LiveLog:
    """Follows a flow from now on, until it ends or its reader goes.

    :param place: where the Job is.
    :param mask: what a line goes through first.
    :raises TooManyError: so many are shown in this process already.
    """

    # What an event loop runs is to be held by somebody.
    _running: ClassVar[set[asyncio.Task[str]]] = set()

    def __init__(self, place: JobPlace, mask: Callable[[str], str]) -> None:
        if len(self._running) >= MOST_STREAMS:
            raise TooManyError(f"{MOST_STREAMS} live logs are shown already: close another one")
        self._buffer = LineBuffer()
        follow = _follow(place, lambda line: self._buffer.put(mask(line)))
        self._following = asyncio.create_task(follow)
        self._running.add(self._following)
        self._following.add_done_callback(self._running.discard)

    def stop(self) -> None:
        """Follow no longer; what is open is closed by itself, also where a reader is cut off."""
        self._following.cancel()

    async def events(self, is_gone: Callable[[], Awaitable[bool]]) -> AsyncIterator[str]:
        """Yield the events.

        :param is_gone: tells whether the reader is.
        """
        following, loop = self._following, asyncio.get_running_loop()
        end, sign = loop.time() + _LONGEST_STREAM, loop.time() + _SIGN_OF_LIFE
        yield _event("begin", None)
        while not await is_gone() and loop.time() < end:
            is_over = following.done()
            if lines := self._buffer.take():
                yield _event("lines", lines)
            elif loop.time() >= sign:
                sign = loop.time() + _SIGN_OF_LIFE
                yield ": still here\n\n"
            if is_over:
                yield _event("end", following.result())
                return
            await asyncio.wait([following], timeout=_INTERVAL)


async def _follow(place: JobPlace, emit: Callable[[str], None]) -> str:
    """Follow the flow to its end; return what is to be said then."""
    try:
        async with Cluster(place.kubernetes_conn_id) as cluster:
            job = await cluster.find_job(place.namespace, place.job_name)
            if job is None or label(job, FLOW_RUN_ID_LABEL) != place.flow_run_id:
                return "The Job is gone, and its log with it."
            lines = _Recent(by_pod=has_many_pods(job))
            outcome = await wait_for_outcome(
                cluster, job, emit, lines, startup_timeout=None, wait_for="flow"
            )
    except FlowJobError as error:
        return f"The live log ends here: {one_line(str(error))}"
    except Exception as error:
        log.warning("A live log has ended: %r", error)
        return f"The live log ends here: {type(error).__name__}."
    return f"The flow run has {'been ' if outcome.status == 'cancelled' else ''}{outcome.status}."


def _event(name: str, data: object) -> str:
    return f"event: {name}\ndata: {json.dumps(data)}\n\n"
