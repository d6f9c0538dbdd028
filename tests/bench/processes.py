"""What processes have used of the machine: CPU of all that a program started, and own memory."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import psutil

from tests.support.airflow import sessions

_MEBIBYTE = 2**20


def unique_memory(process: int) -> float | None:
    """Return the MiB that this process alone has in memory (USS); None where it has ended."""
    with suppress(psutil.NoSuchProcess):
        return float(psutil.Process(process).memory_full_info().uss) / _MEBIBYTE
    return None


def cpu_seconds(session_ids: Iterable[int]) -> float:
    """Return the CPU that the sessions' members have used, and what they had that has ended."""
    total = 0.0
    for session in session_ids:
        for process in sessions.members(session):
            with suppress(psutil.NoSuchProcess):
                times = psutil.Process(process).cpu_times()
                total += times.user + times.system + times.children_user + times.children_system
    return total


@dataclass
class Used:
    """What was used within a block: seconds of CPU, and of the clock."""

    cpu: float = 0.0
    seconds: float = 0.0


@contextmanager
def used_by(session_ids: list[int]) -> Iterator[Used]:
    """Measure what the sessions use within the block."""
    used = Used()
    cpu, began = cpu_seconds(session_ids), time.monotonic()
    yield used
    used.seconds = time.monotonic() - began
    used.cpu = cpu_seconds(session_ids) - cpu


def own_memory() -> float:
    """Return the MiB that the calling process alone has in memory (USS)."""
    return float(psutil.Process().memory_full_info().uss) / _MEBIBYTE
