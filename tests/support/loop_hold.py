"""How long something holds an event loop up."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class LongestHold:
    """The longest hold so far, in CPU seconds of the loop's thread."""

    def __init__(self) -> None:
        self.seconds = 0.0


@asynccontextmanager
async def longest_hold() -> AsyncIterator[LongestHold]:
    """Measure how long the loop is held up at once within the block."""
    hold = LongestHold()

    async def measure() -> None:
        while True:
            # Of this thread alone: what the machine does besides is no fault of the loop's.
            before = time.thread_time()
            await asyncio.sleep(0.001)
            hold.seconds = max(hold.seconds, time.thread_time() - before)

    measuring = asyncio.create_task(measure())
    try:
        yield hold
    finally:
        # What held the loop up last is measured when it goes on.
        await asyncio.sleep(0.002)
        measuring.cancel()
