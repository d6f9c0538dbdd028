"""Waiting for a condition with a deadline, so that no test sleeps for a guess."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")
# Seconds.
_LONGEST_INTERVAL = 1.0


def wait_for(
    condition: Callable[[], T | None], what: str, seconds: float = 30.0, interval: float = 0.05
) -> T:
    """Return the condition's first true value; raise a TimeoutError that names what was awaited.

    It is asked for every `interval` seconds, and more seldom after a while: to ask an Airflow costs
    it more than a few tasks do.
    """
    begun = time.monotonic()
    while True:
        value = condition()
        if value:
            return value
        waited = time.monotonic() - begun
        if waited >= seconds:
            raise TimeoutError(f"Waited {seconds:g} s in vain for {what}; last seen: {value!r}.")
        time.sleep(max(interval, min(waited / 20, _LONGEST_INTERVAL)))
