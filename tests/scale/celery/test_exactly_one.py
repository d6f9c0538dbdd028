"""The promises of tests/airflow/test_exactly_one.py, with tasks that wait in Celery's workers."""

from __future__ import annotations

import pytest

from tests.airflow.test_exactly_one import (
    test_a_backfill_of_twenty_dates_survives_workers_that_are_killed,
    test_a_cleared_task_leaves_no_pod_and_runs_exactly_one_new_job,
    test_a_completed_task_that_is_cleared_runs_its_flow_again,
    test_a_job_is_deleted_after_its_end_only_where_that_is_asked_for,
    test_a_kill_during_the_create_leaves_no_job,
    test_a_kill_while_the_connection_is_loaded_leaves_no_job,
    test_a_kill_while_the_session_closes_disturbs_nothing,
    test_a_killed_task_process_leaves_one_job_whose_flow_ran_once,
    test_a_lost_reply_of_the_create_leaves_one_job,
    test_a_run_that_is_deleted_and_created_again_runs_its_flow_again,
    test_a_run_that_is_marked_failed_leaves_neither_job_nor_pod,
    test_a_run_that_times_out_leaves_neither_job_nor_pod,
    test_a_task_cleared_after_its_worker_died_adopts_its_job_and_cleared_once_more_begins_anew,
    test_a_task_that_is_marked_leaves_neither_job_nor_pod,
    test_a_task_that_times_out_leaves_neither_job_nor_pod,
    test_a_worker_that_airflow_gave_up_deletes_no_job_that_the_next_try_adopts,
    test_a_worker_that_is_asked_to_end_keeps_its_job,
    test_clearing_a_sibling_disturbs_nothing,
    test_the_sweep_deletes_what_nobody_waits_for_and_nothing_else,
)

__all__ = [
    "test_a_backfill_of_twenty_dates_survives_workers_that_are_killed",
    "test_a_cleared_task_leaves_no_pod_and_runs_exactly_one_new_job",
    "test_a_completed_task_that_is_cleared_runs_its_flow_again",
    "test_a_job_is_deleted_after_its_end_only_where_that_is_asked_for",
    "test_a_kill_during_the_create_leaves_no_job",
    "test_a_kill_while_the_connection_is_loaded_leaves_no_job",
    "test_a_kill_while_the_session_closes_disturbs_nothing",
    "test_a_killed_task_process_leaves_one_job_whose_flow_ran_once",
    "test_a_lost_reply_of_the_create_leaves_one_job",
    "test_a_run_that_is_deleted_and_created_again_runs_its_flow_again",
    "test_a_run_that_is_marked_failed_leaves_neither_job_nor_pod",
    "test_a_run_that_times_out_leaves_neither_job_nor_pod",
    "test_a_task_cleared_after_its_worker_died_adopts_its_job_and_cleared_once_more_begins_anew",
    "test_a_task_that_is_marked_leaves_neither_job_nor_pod",
    "test_a_task_that_times_out_leaves_neither_job_nor_pod",
    "test_a_worker_that_airflow_gave_up_deletes_no_job_that_the_next_try_adopts",
    "test_a_worker_that_is_asked_to_end_keeps_its_job",
    "test_clearing_a_sibling_disturbs_nothing",
    "test_the_sweep_deletes_what_nobody_waits_for_and_nothing_else",
]

pytestmark = pytest.mark.usefixtures("own_node", "celery")
