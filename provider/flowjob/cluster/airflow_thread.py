"""Ask Airflow from an event loop: its calls wait for an answer, and so need a thread."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

# Its own: an event loop's are for addresses and files, which requests to a cluster wait for.
_threads = ThreadPoolExecutor(4, thread_name_prefix="flowjob-airflow")


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Call a function that asks Airflow for something, in a thread.

    A triggerer has one channel to its supervisor. Before Airflow 3.3 a plain thread's question
    mixes up the answers on it, which ends the triggerer; from a thread of asgiref's, which Airflow
    itself uses, it goes through the event loop.

    :raises Exception: whatever the function raises.
    """
    from asgiref.sync import sync_to_async

    call = sync_to_async(function, thread_sensitive=False, executor=_threads)
    return await call(*args, **kwargs)
