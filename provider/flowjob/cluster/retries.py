"""When a request is sent again."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator


def delays(longest: float = 10.0) -> Iterator[float]:
    """Yield the seconds to wait before each new try: growing, with jitter, without end."""
    delay = 0.2
    while True:
        yield delay * random.uniform(0.5, 1.0)  # noqa: S311 - spreads load, protects nothing
        delay = min(delay * 2, longest)


async def pause(seconds: float, stop: asyncio.Event | None) -> None:
    """Wait so many seconds, or until the event is set."""
    if stop is None:
        await asyncio.sleep(seconds)
        return
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return
