"""An event loop for a thread that waits, and that may be interrupted while it does."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from flowjob.worker.loop_thread import LoopThread


class TimedOut(Exception):
    """What a signal handler raises, as Airflow's does for ``execution_timeout``."""


def test_a_time_out_ends_the_wait_and_cancels_what_was_waited_for() -> None:
    cancelled = asyncio.Event()

    async def wait_forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    def time_out(*_: object) -> None:
        raise TimedOut

    handler = signal.signal(signal.SIGALRM, time_out)
    try:
        with LoopThread() as loop:
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            with pytest.raises(TimedOut):
                loop.run(wait_forever())
            loop.run(asyncio.wait_for(cancelled.wait(), 10))
    finally:
        signal.signal(signal.SIGALRM, handler)


def test_what_was_opened_on_the_loop_is_closed_there_when_the_block_fails() -> None:
    seen: list[str] = []

    @asynccontextmanager
    async def resource() -> AsyncIterator[None]:
        seen.append("opened")
        try:
            yield
        finally:
            seen.append("closed")

    def time_out_in_the_block() -> None:
        with LoopThread() as loop, loop.use(resource()):
            raise TimedOut

    with pytest.raises(TimedOut):
        time_out_in_the_block()
    assert seen == ["opened", "closed"]
