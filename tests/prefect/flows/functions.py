"""Flows of Prefect 2 and 3."""

import asyncio
import threading
from typing import Any

from prefect import flow, get_run_logger, settings, task
from prefect.runtime import flow_run
from prefect.states import Cancelled, Crashed


@task
def get_value() -> str:
    return "Example!"


@task
def output_value(value: str) -> None:
    print(value)
    get_run_logger().warning("careful")


@flow
def example() -> Any:
    """Do what the reference's example does, and tell what it finds."""
    output_value(get_value())
    return {
        "scheduled_start_time": flow_run.scheduled_start_time.isoformat(),
        "data_interval_start": flow_run.data_interval_start.isoformat(),
        "data_interval_end": flow_run.data_interval_end.isoformat(),
        "home": str(settings.PREFECT_HOME.value()),
        "tells": settings.PREFECT_SERVER_ANALYTICS_ENABLED.value(),
    }


@task
def divide(dividend: float, divisor: float) -> float:
    return dividend / divisor


@flow
def failing() -> Any:
    return divide(1, 0)


@flow
async def sales(region: str, days: list[int], divisor: int = 2) -> Any:
    await asyncio.sleep(0)
    shares = [future.result() for future in divide.map(days, divisor)]
    return {"region": region, "shares": shares}


@flow
def states_of_tasks() -> Any:
    """Fail without an exception: one of the states that it returns has failed."""
    return [divide.submit(1, 1), divide.submit(1, 0)]


@flow
def broken(region: str) -> None:
    raise ValueError(f"no region {region}")


@flow
def cancelled() -> Any:
    return Cancelled(message="nobody wants it")


@flow
def crashed() -> Any:
    return Crashed(message="no memory")


@flow
def generated() -> Any:
    yield 1
    yield 2


@flow
async def sleeps() -> None:
    # From another thread, so that this one waits in its event loop by then.
    threading.Timer(0.2, print, ["up"], {"flush": True}).start()
    try:
        await asyncio.sleep(600)
    finally:
        print("the lock is given back", flush=True)
