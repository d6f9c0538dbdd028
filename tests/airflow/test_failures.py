"""Flow runs that fail: one clear error, and retries only where they can help."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.airflow.instance import AirflowInstance
from tests.support.wait import wait_for

Task = dict[str, Any]


@pytest.fixture(scope="module")
def run_id(airflow: AirflowInstance) -> str:
    started = airflow.client.trigger("failures")
    assert airflow.client.wait_for_run("failures", started, timeout=180) == "failed"
    return started


@pytest.mark.parametrize(
    ("task_id", "state", "tries", "told"),
    [
        ("second_try_succeeds", "success", 2, "this is try 2"),
        ("bad_result", "failed", 1, "the termination message that it left is not JSON"),
        ("refused", "failed", 1, "spec.template.spec.containers[0].imagePullPolicy"),
        ("refused", "failed", 1, "specs/refused.yaml:15)"),
        ("misspelt", "failed", 1, "specs/misspelt.yaml:12)"),
        ("jinja_in_spec", "failed", 1, "a job spec is not templated, so give the image to"),
        ("undefined_in_env", "failed", 1, "cannot be rendered: 'absent' is undefined"),
        ("unknown_connection", "failed", 1, "the Airflow connection 'absent' cannot be used: The"),
        ("broken_connection", "failed", 1, "the Airflow connection 'broken' cannot be used"),
        ("many_pods", "failed", 1, "wait_for='flow' waits for one pod"),
        ("no_image", "failed", 1, "task 'no_image' has no image"),
        ("default_flow", "failed", 1, "prefect_default"),
        ("times_out", "failed", 1, "AirflowTaskTimeout"),
        ("skipped", "skipped", 1, "exit code 99 of the flow container skips the task"),
        ("no_such_image", "failed", 1, "the flow container has not started in 6 s"),
        ("no_such_image_deferred", "failed", 1, "the flow container has not started in 6 s"),
    ],
)
def test_a_task_fails_with_its_cause_and_is_tried_again_only_if_that_helps(
    airflow: AirflowInstance, run_id: str, task_id: str, state: str, tries: int, told: str
) -> None:
    task = airflow.client.task_instance("failures", run_id, task_id)
    assert (task["state"], task["try_number"]) == (state, tries)
    assert told in airflow.client.log("failures", run_id, task_id, tries)


def test_a_connection_that_cannot_be_read_leaks_nothing_of_it(
    airflow: AirflowInstance, run_id: str
) -> None:
    assert "s3cret" not in airflow.client.log("failures", run_id, "broken_connection", 1)


def test_a_bad_job_spec_is_an_import_error_that_names_file_line_and_field(
    airflow: AirflowInstance,
) -> None:
    def told() -> str | None:
        return airflow.client.import_errors().get("import_error.py")

    assert (
        "specs/wrong_type.yaml:8: spec.template.spec.containers of the job spec must be a list"
    ) in wait_for(told, "the import error of import_error.py", 60)


def test_a_failed_flow_tells_its_outcome_in_xcom(airflow: AirflowInstance, run_id: str) -> None:
    first = airflow.client.log("failures", run_id, "second_try_succeeds", 1)
    assert "ended with exit code 1" in first
    found = airflow.client.xcoms("failures", run_id, "bad_result")
    assert (found["status"], found["outcome"]["exit_code"]) == ("succeeded", 0)


@pytest.mark.parametrize("task_id", ["no_such_image", "no_such_image_deferred"])
def test_a_flow_run_that_does_not_start_leaves_no_job(
    airflow: AirflowInstance, run_id: str, batch_v1: Any, task_id: str
) -> None:
    found = airflow.client.xcoms("failures", run_id, task_id)
    assert found["outcome"]["reason"] in ("ErrImagePull", "ImagePullBackOff")
    assert found["outcome"]["container"] == "flow-container"

    def names() -> list[str]:
        jobs = batch_v1.list_namespaced_job(found["namespace"]).items
        return [job.metadata.name for job in jobs]

    wait_for(lambda: found["job_name"] not in names(), "the Job to be gone")


def test_the_log_tells_the_flow_runs_progress(airflow: AirflowInstance, run_id: str) -> None:
    log = airflow.client.log("failures", run_id, "second_try_succeeds", 2)
    assert "runs the flow on node" in log
    assert "ended its flow with exit code 0" in log


def test_each_try_is_a_flow_run_of_its_own(
    airflow: AirflowInstance, run_id: str, batch_v1: Any
) -> None:
    found = airflow.client.xcoms("failures", run_id, "second_try_succeeds")
    job = batch_v1.read_namespaced_job(found["job_name"], found["namespace"])
    selector = f"identifier={job.metadata.labels['identifier']}"
    jobs = batch_v1.list_namespaced_job(found["namespace"], label_selector=selector).items
    assert len({job.metadata.labels["flow_run_id"] for job in jobs}) == 2


def test_a_later_try_asks_for_more_memory(
    airflow: AirflowInstance, run_id: str, batch_v1: Any
) -> None:
    found = airflow.client.xcoms("failures", run_id, "second_try_succeeds")
    job = batch_v1.read_namespaced_job(found["job_name"], found["namespace"])
    selector = f"identifier={job.metadata.labels['identifier']}"
    jobs = batch_v1.list_namespaced_job(found["namespace"], label_selector=selector).items
    limits = [each.spec.template.spec.containers[0].resources.limits for each in jobs]
    assert sorted(limit["memory"] for limit in limits) == ["128Mi", "64Mi"]
