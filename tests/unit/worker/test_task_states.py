"""What Airflow's word for a task means for its Job."""

from __future__ import annotations

import pytest

from flowjob.worker.task_states import has_ended, was_killed
from tests.unit.test_flow_run import TASK_INSTANCE


# None: a scheduler that takes over the tasks of another takes their state away for a moment.
@pytest.mark.parametrize("state", ["running", "deferred", "queued", None])
def test_a_task_whose_worker_is_merely_shut_down_keeps_its_job(state: str | None) -> None:
    assert not was_killed(TASK_INSTANCE, {TASK_INSTANCE: state})
    assert not has_ended(TASK_INSTANCE, {TASK_INSTANCE: state})


@pytest.mark.parametrize("state", ["success", "failed", "skipped", "removed"])
def test_a_task_that_somebody_marked_was_killed(state: str) -> None:
    assert was_killed(TASK_INSTANCE, {TASK_INSTANCE: state})
    assert has_ended(TASK_INSTANCE, {TASK_INSTANCE: state})


def test_a_task_whose_run_was_deleted_was_killed() -> None:
    assert was_killed(TASK_INSTANCE, {})
    assert has_ended(TASK_INSTANCE, {})


def test_a_running_task_that_was_cleared_was_killed_but_will_be_run_again() -> None:
    assert was_killed(TASK_INSTANCE, {TASK_INSTANCE: "restarting"})
    assert not has_ended(TASK_INSTANCE, {TASK_INSTANCE: "restarting"})
