"""Ask Airflow for the states of task instances, through the task API: no database access."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from flowjob.flow_run import TaskInstanceKey

# Airflow's states of a task instance that has ended.
_ENDED = {"success", "failed", "skipped", "upstream_failed", "removed"}
# What a running task instance becomes when it is cleared. That a cleared one then has no state says
# nothing: a scheduler that takes over running tasks of another takes their state away, too.
_CLEARED = {"restarting"}

# The state of each task instance; one that is gone is missing.
TaskStates = dict[TaskInstanceKey, str | None]


# Task instances that one question names: their runs' ids stand in the address of a request.
_PORTION = 50


def portions(keys: Iterable[TaskInstanceKey]) -> Iterator[list[TaskInstanceKey]]:
    """Yield task instances by DAG and map index, so many at once as one question may name."""
    groups: dict[tuple[str, int], list[TaskInstanceKey]] = defaultdict(list)
    for key in keys:
        groups[key.dag_id, key.map_index].append(key)
    for group in groups.values():
        for start in range(0, len(group), _PORTION):
            yield group[start : start + _PORTION]


def task_states(keys: Iterable[TaskInstanceKey]) -> TaskStates:
    """Ask for the states of these task instances, in a request for each of their ``portions``.

    It waits for the supervisor's answer: not for an event loop, nor for a signal handler.

    :raises Exception: Airflow gives no answer.
    """
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    states: TaskStates = {}
    for portion in portions(keys):
        dag_id, map_index = portion[0].dag_id, portion[0].map_index
        answer: dict[str, dict[str, Any]] = RuntimeTaskInstance.get_task_states(
            dag_id=dag_id,
            map_index=map_index,
            task_ids=sorted({key.task_id for key in portion}),
            run_ids=sorted({key.run_id for key in portion}),
        )
        for key in portion:
            name = key.task_id if map_index < 0 else f"{key.task_id}_{map_index}"
            if name in (answer.get(key.run_id) or {}):
                states[key] = answer[key.run_id][name]
    return states


def has_ended(key: TaskInstanceKey, states: TaskStates) -> bool:
    """Tell whether the task instance has ended or is gone: nobody waits for its flow run."""
    return key not in states or states[key] in _ENDED


def was_killed(key: TaskInstanceKey, states: TaskStates) -> bool:
    """Tell whether somebody ended or cleared the task instance that is still being run.

    While its worker or triggerer is merely shut down, it is still running or deferred. A deferred
    one that is cleared has no state any more: the next try removes its Job.
    """
    return has_ended(key, states) or states[key] in _CLEARED
