"""Ask Airflow for the states of task instances, through the task API: no database access."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from flowjob.flow_run import TaskInstanceKey

# Airflow's states of a task instance that has ended.
_ENDED = {"success", "failed", "skipped", "upstream_failed", "removed"}
# What a running task instance becomes when it is cleared: first this, then no state.
_CLEARED = {"restarting", None}

# The state of each task instance; one that is gone is missing.
TaskStates = dict[TaskInstanceKey, str | None]


def task_states(keys: Iterable[TaskInstanceKey]) -> TaskStates:
    """Ask for the states of these task instances, in a request for each DAG and map index.

    It waits for the supervisor's answer: not for an event loop, nor for a signal handler.

    :raises Exception: Airflow gives no answer.
    """
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    groups: dict[tuple[str, int], list[TaskInstanceKey]] = defaultdict(list)
    for key in keys:
        groups[key.dag_id, key.map_index].append(key)
    states: TaskStates = {}
    for (dag_id, map_index), group in groups.items():
        answer: dict[str, dict[str, Any]] = RuntimeTaskInstance.get_task_states(
            dag_id=dag_id,
            map_index=map_index,
            task_ids=sorted({key.task_id for key in group}),
            run_ids=sorted({key.run_id for key in group}),
        )
        for key in group:
            name = key.task_id if map_index < 0 else f"{key.task_id}_{map_index}"
            if name in (answer.get(key.run_id) or {}):
                states[key] = answer[key.run_id][name]
    return states


def airflow_address() -> str:
    """Return which Airflow this is: the address of its API server (``[api] base_url``)."""
    from airflow.configuration import conf

    return str(conf.get("api", "base_url", fallback=""))


def has_ended(key: TaskInstanceKey, states: TaskStates) -> bool:
    """Tell whether the task instance has ended or is gone: nobody waits for its flow run."""
    return key not in states or states[key] in _ENDED


def was_killed(key: TaskInstanceKey, states: TaskStates) -> bool:
    """Tell whether somebody ended or cleared the task instance that is still being run.

    While its worker or triggerer is merely shut down, it is still running or deferred.
    """
    return has_ended(key, states) or states[key] in _CLEARED
