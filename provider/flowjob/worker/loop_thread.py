"""An event loop in a thread of its own, for the worker.

``AirflowTaskTimeout`` is raised by a signal handler in the main thread. Inside ``asyncio.run`` it
often lands in a callback and is lost; in ``LoopThread.run`` it ends the wait.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, contextmanager
from typing import Any, Self, TypeVar

T = TypeVar("T")


class LoopThread:
    """Runs coroutines for a thread that waits for them; use it as a context manager."""

    def __enter__(self) -> Self:
        ready = threading.Event()

        async def serve() -> None:
            self._loop = asyncio.get_running_loop()
            self._leave = asyncio.Event()
            ready.set()
            await self._leave.wait()

        # asyncio.run cancels what is left on the loop and waits for it to clean up.
        self._thread = threading.Thread(target=lambda: asyncio.run(serve()), name="flowjob")
        self._thread.start()
        ready.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._leave.set)
        self._thread.join()

    def start(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Start the coroutine on the loop; also for a signal handler, as it does not wait."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run the coroutine on the loop and wait for its end.

        An exception that is raised in the waiting thread, such as a time-out, cancels it.
        """
        future = self.start(coroutine)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    @contextmanager
    def use(self, manager: AbstractAsyncContextManager[T]) -> Iterator[T]:
        """Enter an async context manager on the loop and leave it at the end of the block."""
        value = self.run(manager.__aenter__())
        try:
            yield value
        finally:
            self.run(manager.__aexit__(None, None, None))
