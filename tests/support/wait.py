"""Waiting for a condition with a deadline, so that no test sleeps for a guess."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(
    condition: Callable[[], T | None], what: str, seconds: float = 30.0, interval: float = 0.05
) -> T:
    """Return the condition's first true value; raise a TimeoutError that names what was awaited."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() >= deadline:
            raise TimeoutError(f"Waited {seconds:g} s in vain for {what}; last seen: {value!r}.")
        time.sleep(interval)
