"""Calls that may hang, such as an exec plugin that waits for a login."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from typing import Any, Generic, TypeVar

T = TypeVar("T")


class StillRunningError(Exception):
    """A call has had no answer for as long as its caller waits."""


class SharedCall(Generic[T]):
    """One call at a time, for all who want its answer meanwhile.

    One that hangs is not made again, and takes a thread once at the most.

    :param call: makes it.
    """

    def __init__(self, call: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self._call = call
        self._running: asyncio.Task[T] | None = None

    async def answer(self, limit: float) -> T:
        """Wait for the answer of the call.

        :param limit: seconds that the caller waits; the call itself goes on.
        :raises StillRunningError: there is none yet.
        :raises Exception: whatever the call raises.
        """
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._call())
            # All who waited may have gone.
            self._running.add_done_callback(lambda task: task.cancelled() or task.exception())
        running = self._running
        if not (await asyncio.wait((running,), timeout=limit))[0]:
            raise StillRunningError
        return running.result()

    async def close(self) -> None:
        """Forget the call that is made, if any."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)


async def in_own_thread(function: Callable[[], T]) -> T:
    """Call a function in a thread that neither a pool nor the end of the process waits for.

    :raises Exception: whatever the function raises.
    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def settle(value: T | None, error: Exception | None) -> None:
        if answer.done():
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(value)  # type: ignore[arg-type]

    def run() -> None:
        value, failure = None, None
        try:
            value = function()
        except Exception as error:
            failure = error
        # The loop may have ended meanwhile.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(settle, value, failure)

    threading.Thread(target=run, name="flowjob-credentials", daemon=True).start()
    return await answer
