"""The process under measurement: a loop with thousands of triggers, as in a triggerer.

Reads a line of JSON with the Jobs' metadata and tells, in lines of JSON, what it costs and when
each event came.
"""

from __future__ import annotations

import asyncio
import json
import logging
import resource
import sys
import time
from pathlib import Path
from typing import Any

from tests.support.triggers import trigger_of

IDLE_SECONDS = 30


def tell(**facts: Any) -> None:
    print(json.dumps(facts), flush=True)


def memory() -> int:
    """Return the bytes that this process has in memory now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


async def wait(metadata: dict[str, Any]) -> None:
    async for _ in trigger_of({"metadata": metadata}, "bench").run():
        tell(event=metadata["name"], at=time.time())


async def main() -> None:
    # Standard output is for the figures; Airflow's log may go there, too.
    logging.disable()
    first, *jobs = json.loads(sys.stdin.readline())
    # The first brings in all modules, and keeps the watch open.
    waiters = [asyncio.create_task(wait(first))]
    await asyncio.sleep(5)
    before = memory()
    waiters += [asyncio.create_task(wait(job)) for job in jobs]
    await asyncio.sleep(10)
    tell(bytes_per_waiter=(memory() - before) / len(jobs))
    cpu, wall = time.process_time(), time.monotonic()
    await asyncio.sleep(IDLE_SECONDS)
    tell(idle_cpu=(time.process_time() - cpu) / (time.monotonic() - wall))
    await asyncio.gather(*waiters)


if __name__ == "__main__":
    asyncio.run(main())
