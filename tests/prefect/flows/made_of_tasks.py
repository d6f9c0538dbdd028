"""Flows of Prefect 0.x and 1.x."""

import datetime
import time
from typing import Any

import prefect
from prefect import Flow, Parameter, task, triggers, unmapped
from prefect.client import Secret
from prefect.engine import signals
from prefect.schedules import IntervalSchedule


@task
def get_value() -> Any:
    return "Example!"


@task
def output_value(value: Any) -> None:
    print(value)


# The reference's example, and a schedule, by which Prefect would run it for ever.
example = Flow("example", schedule=IntervalSchedule(interval=datetime.timedelta(days=1)))
output_value.set_upstream(get_value, flow=example)
output_value.bind(value=get_value, flow=example)


@task
def divide(dividend: float, divisor: float) -> float:
    return dividend / divisor


@task
def same(value: Any) -> Any:
    return value


@task
def refuse() -> Any:
    raise signals.FAIL("no rows today")


@task
def skip() -> Any:
    raise signals.SKIP("nothing to do")


with Flow("failing") as failing:
    same(divide(1, 0))

with Flow("refusing") as refusing:
    refuse()

with Flow("mapped") as mapped:
    divide.map([1, 2, 3], unmapped(2))

with Flow("mapped failing") as mapped_failing:
    same.map(divide.map([1, 2, 3], [1, 0, 0]))

with Flow("skipping") as skipping:
    same(skip())

with Flow("parameters") as parameters:
    region = Parameter("region")
    day = Parameter("day", default="monday")
    same(region, task_args={"name": "region of"})
    same(day)
    same(day)

with Flow("last task fails") as last_task_fails:
    rows = same("rows")
    divide(1, 0, upstream_tasks=[rows])
    divide.map([1, 2], [1, 0], upstream_tasks=[rows])
last_task_fails.set_reference_tasks([rows])


@task(max_retries=1, retry_delay=datetime.timedelta(0))
def works_at_last() -> Any:
    if prefect.context.task_run_count < 2:
        raise ValueError("not yet")
    return prefect.context.task_run_count


with Flow("retries") as retries:
    works_at_last()


@task(trigger=triggers.manual_only)
def approved() -> Any:
    pass


with Flow("waits for approval") as waits_for_approval:
    approved()


@task
def tell_context() -> Any:
    context = prefect.context
    context.logger.warning("careful")
    times = ("scheduled_start_time", "data_interval_start", "data_interval_end")
    told = {name: context[name].isoformat() for name in times if name in context}
    return {**told, "flow_run_id": context.flow_run_id, "secret": Secret("CRM").get()}


with Flow("context") as in_context:
    tell_context()


@task
def sleep() -> Any:
    try:
        print("up", flush=True)
        time.sleep(600)
    finally:
        print("the lock is given back", flush=True)


with Flow("sleeps") as sleeps:
    sleep()

no_flow = "a string"
