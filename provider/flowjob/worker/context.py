"""What is read from the context that Airflow gives to a task, and what Airflow gives it to use."""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from flowjob.exceptions import FlowError, JobSpecError
from flowjob.flow_run import FlowRun, TaskInstanceKey
from flowjob.text import clean
from flowjob.timeouts import (
    DEFER_AFTER,
    DEFERRAL_MARGIN,
    LONGEST_DEFERRAL_MARGIN,
    SLOW_START,
)
from flowjob.worker.airflow_name import airflow_name

if TYPE_CHECKING:
    from airflow.sdk import Context

    from flowjob.spec.job_spec import JobSpec


def flow_run_of(context: Context) -> FlowRun:
    """Tell which flow run this try of the task instance is."""
    ti, dag_run = context["ti"], context["dag_run"]
    return FlowRun(
        flow_run_id=str(ti.id),
        task_instance=TaskInstanceKey(ti.dag_id, ti.run_id, ti.task_id, map_index_of(context)),
        airflow=airflow_name(),
        try_number=ti.try_number,
        max_tries=ti.max_tries,
        dag_run_start=dag_run.start_date.isoformat() if dag_run.start_date else "",
    )


def map_index_of(context: Context) -> int:
    """Return the map index of the task instance, -1 where the task is not mapped."""
    index = context["ti"].map_index
    return -1 if index is None else index


def airflow_variables(context: Context) -> dict[str, str]:
    """Return Airflow's own variables, and the map index and the data interval where there are."""
    from airflow.sdk.execution_time.context import context_to_airflow_vars

    variables: dict[str, str] = context_to_airflow_vars(context, in_env_var_format=True)
    if (map_index := map_index_of(context)) >= 0:
        variables["AIRFLOW_CTX_MAP_INDEX"] = str(map_index)
    # A run that was triggered by hand has none.
    if start := context.get("data_interval_start"):
        variables["AIRFLOW_CTX_DATA_INTERVAL_START"] = start.isoformat()
    if end := context.get("data_interval_end"):
        variables["AIRFLOW_CTX_DATA_INTERVAL_END"] = end.isoformat()
    return variables


def rendered_env(env: Mapping[str, Any] | None, context: Context) -> dict[str, Any]:
    """Render ``env`` to strings, also in a DAG that renders its templates as native objects.

    :raises FlowError: its Jinja cannot be rendered.
    """
    from airflow.sdk.definitions._internal.templater import Templater
    from jinja2 import TemplateError

    templater = Templater()
    templater.template_ext = ()
    jinja_env = context["dag"].get_template_env(force_sandboxed=True)
    try:
        rendered: dict[str, Any] = templater.render_template(env or {}, context, jinja_env)
    except TemplateError as error:
        raise FlowError(_not_rendered("env", context, error)) from None
    return rendered


def rendered_job_spec(spec: JobSpec, context: Context) -> JobSpec:
    """Render the values of a job spec as the templates of its DAG are.

    :raises JobSpecError: its Jinja cannot be rendered, or what comes of it is no such Job.
    """
    from jinja2 import TemplateError

    task = context["task"]
    try:
        return spec.rendered(lambda manifest: task.render_template(manifest, context))
    except TemplateError as error:
        raise JobSpecError(_not_rendered("job spec", context, error)) from None


def _not_rendered(what: str, context: Context, error: Exception) -> str:
    told = f"the {what} of task {context['ti'].task_id!r} cannot be rendered"
    return f"{told}: {error}: mend its Jinja"


def masked(text: str) -> str:
    """Mask the secrets that Airflow knows, and clean what is text from outside.

    Airflow masks the task's log by itself, but not the copy of it that an executor prints.
    """
    from airflow.sdk._shared.secrets_masker import redact

    return clean(str(redact(text)))


def airflow_exception(name: str) -> type[Exception]:
    """Return Airflow's exception from where this Airflow has it."""
    from airflow import exceptions
    from airflow.sdk import exceptions as sdk_exceptions

    exception: type[Exception] = getattr(sdk_exceptions, name, None) or getattr(exceptions, name)
    return exception


def seconds_since_start(context: Context) -> float:
    """Return how long ago Airflow began to start the task's process."""
    started = context["ti"].start_date
    return (datetime.now(UTC) - started).total_seconds() if started else 0


def default_defer_after() -> float:
    """Return what ``[flowjob] defer_after`` says: seconds, by default ``DEFER_AFTER``.

    :raises FlowError: it says no number.
    """
    from airflow.configuration import conf

    told = conf.get("flowjob", "defer_after", fallback=str(DEFER_AFTER))
    with suppress(ValueError):
        if not math.isnan(seconds := float(told)):
            return seconds
    raise FlowError(f"[flowjob] defer_after is {told!r}: give a number of seconds")


def shortest_deferral(start_up: float) -> float:
    """Return the seconds after which the scheduler knows that a process which defers has ended.

    The supervisor may notice that only at its next heartbeat, and a busy machine is as slow to
    pass it on as it was to start the process.

    :param start_up: seconds that the process took to its first step; 0: nobody knows.
    """
    from airflow.configuration import conf

    heartbeat = conf.getint("workers", "min_heartbeat_interval", fallback=5)
    slowness = min(SLOW_START * start_up, LONGEST_DEFERRAL_MARGIN)
    return heartbeat + max(DEFERRAL_MARGIN, slowness)
