"""Lines on their way from a flow's log to whoever takes them, each at a pace of its own."""

from __future__ import annotations

import asyncio
import json
import logging
import zlib
from collections import deque
from collections.abc import Callable
from typing import Self

log = logging.getLogger(__name__)

# Characters of lines that are packed, and handed on, in one go.
_PART = 256 * 1024
# Bytes of packed lines that wait at the most: some ten times as many as they were written, minutes
# of a flow that writes twice as fast as Airflow's log takes its lines.
_ROOM = 32 * 2**20


class LineSpool:
    """Takes lines as fast as a node gives them, and hands them on from a thread, in their order.

    A node throws the oldest lines of a running container away, and Airflow's log takes some
    thousands a second: a log that is read at that pace loses what its flow writes faster. Those
    that wait are kept packed in memory, never on a disk, and who reads waits for room.

    :param emit: takes each line, in a thread of this loop's.
    :param is_held: keep all lines back until ``let_go``, and forget them where ``close`` comes
        first; default: hand them on as they come.
    """

    def __init__(self, emit: Callable[[str], None], *, is_held: bool = False) -> None:
        self._emit = emit
        self._is_held = is_held
        self._packed: deque[bytes] = deque()
        self._packed_size = 0
        # The newest, each with the level of a word of ours, or none; and their characters.
        self._newest: list[tuple[int, str]] = []
        self._newest_size = 0
        self._came = 0
        #: Lines that were handed on.
        self.shown = 0
        self._news = asyncio.Event()
        self._has_room = asyncio.Event()
        self._has_room.set()
        self._is_complete = self._is_closed = False
        self._task = asyncio.create_task(self._run())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: object
    ) -> None:
        """Hand on what has come, also where reading has failed; but not where it was cancelled."""
        try:
            if error is None or isinstance(error, Exception):
                await self.finish()
        finally:
            await self.close()

    def put(self, line: str) -> None:
        """Take a line of the flow's."""
        self._put(logging.NOTSET, line)

    def tell(self, level: int, message: str) -> None:
        """Take a word of ours, which is to stand where the lines have come to."""
        self._put(level, message)

    async def room(self) -> None:
        """Wait until there is room for more."""
        await self._has_room.wait()

    def let_go(self) -> None:
        """Hand the lines on that were held back, and all that come."""
        self._is_held = False
        self._news.set()

    async def finish(self) -> None:
        """Wait until all lines are handed on.

        :raises Exception: what ``emit`` did.
        """
        self._is_complete = True
        self._news.set()
        await self._task

    async def close(self) -> None:
        """Hand nothing on any more, and say how much is left."""
        self._is_complete = self._is_closed = True
        self._news.set()
        await asyncio.gather(self._task, return_exceptions=True)
        if not self._is_held and (left := self._came - self.shown):
            log.warning("%d more lines of the flow's log have come and are not shown", left)

    def _put(self, level: int, text: str) -> None:
        self._came += 1
        if self._task.done():
            return
        self._newest.append((level, text))
        self._newest_size += len(text)
        if self._newest_size >= _PART:
            self._pack()
        self._news.set()

    def _pack(self) -> None:
        part = zlib.compress(json.dumps(self._newest).encode(), level=1)
        self._packed.append(part)
        self._packed_size += len(part)
        self._newest, self._newest_size = [], 0
        if self._packed_size >= _ROOM:
            self._has_room.clear()

    def _next(self) -> list[tuple[int, str]]:
        if not self._packed:
            lines, self._newest, self._newest_size = self._newest, [], 0
            return lines
        part = self._packed.popleft()
        self._packed_size -= len(part)
        self._has_room.set()
        return [(level, text) for level, text in json.loads(zlib.decompress(part))]

    async def _run(self) -> None:
        try:
            while not self._is_closed:
                self._news.clear()
                if self._is_held:
                    await self._news.wait()
                elif lines := self._next():
                    await asyncio.to_thread(self._show, lines)
                elif self._is_complete:
                    return
                else:
                    await self._news.wait()
        finally:
            # Nobody waits for room that does not come any more.
            self._has_room.set()

    def _show(self, lines: list[tuple[int, str]]) -> None:
        for level, text in lines:
            if self._is_closed:
                return
            if level:
                log.log(level, "%s", text)
            else:
                self._emit(text)
            self.shown += 1
