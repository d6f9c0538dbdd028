"""The promises of tests/airflow/test_deferrable.py, with tasks that Celery's workers defer."""

from __future__ import annotations

import pytest

from tests.airflow.test_deferrable import (
    test_a_backfill_of_twenty_dates_survives_workers_that_are_killed,
    test_a_cleared_task_leaves_no_pod_and_runs_exactly_one_new_job,
    test_a_completed_task_that_is_cleared_runs_its_flow_again,
    test_a_job_is_deleted_after_its_end_only_where_that_is_asked_for,
    test_a_kill_during_the_create_leaves_no_job,
    test_a_kill_of_a_resumed_task_while_the_connection_is_loaded_leaves_no_job,
    test_a_killed_task_process_leaves_one_job_whose_flow_ran_once,
    test_a_lost_reply_of_the_create_leaves_one_job,
    test_a_run_that_is_deleted_and_created_again_runs_its_flow_again,
    test_a_run_that_is_marked_failed_leaves_neither_job_nor_pod,
    test_a_run_that_times_out_leaves_neither_job_nor_pod,
    test_a_task_that_is_cleared_while_it_resumes_runs_its_flow_again,
    test_a_task_that_is_marked_just_before_it_defers_leaves_no_job,
    test_a_task_that_is_marked_leaves_neither_job_nor_pod,
    test_a_task_that_times_out_leaves_neither_job_nor_pod,
    test_a_triggerer_that_is_replaced_goes_on_waiting,
    test_a_worker_goes_on_waiting_where_the_trigger_failed,
    test_an_adopted_flow_run_ends_with_its_flow_although_a_sidecar_goes_on,
    test_an_adopted_flow_run_times_out,
    test_clearing_a_sibling_disturbs_nothing,
)

__all__ = [
    "test_a_backfill_of_twenty_dates_survives_workers_that_are_killed",
    "test_a_cleared_task_leaves_no_pod_and_runs_exactly_one_new_job",
    "test_a_completed_task_that_is_cleared_runs_its_flow_again",
    "test_a_job_is_deleted_after_its_end_only_where_that_is_asked_for",
    "test_a_kill_during_the_create_leaves_no_job",
    "test_a_kill_of_a_resumed_task_while_the_connection_is_loaded_leaves_no_job",
    "test_a_killed_task_process_leaves_one_job_whose_flow_ran_once",
    "test_a_lost_reply_of_the_create_leaves_one_job",
    "test_a_run_that_is_deleted_and_created_again_runs_its_flow_again",
    "test_a_run_that_is_marked_failed_leaves_neither_job_nor_pod",
    "test_a_run_that_times_out_leaves_neither_job_nor_pod",
    "test_a_task_that_is_cleared_while_it_resumes_runs_its_flow_again",
    "test_a_task_that_is_marked_just_before_it_defers_leaves_no_job",
    "test_a_task_that_is_marked_leaves_neither_job_nor_pod",
    "test_a_task_that_times_out_leaves_neither_job_nor_pod",
    "test_a_triggerer_that_is_replaced_goes_on_waiting",
    "test_a_worker_goes_on_waiting_where_the_trigger_failed",
    "test_an_adopted_flow_run_ends_with_its_flow_although_a_sidecar_goes_on",
    "test_an_adopted_flow_run_times_out",
    "test_clearing_a_sibling_disturbs_nothing",
]

pytestmark = pytest.mark.usefixtures("own_node", "celery")


@pytest.fixture
def deferrable() -> bool:
    return True
