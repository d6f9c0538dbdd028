"""Flow runs whose sidecars never end, through a real scheduler and triggerer."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.airflow.instance import AirflowInstance
from tests.support.wait import wait_for

NO_ROWS = '{"level": "error", "msg": "no rows"}'


@pytest.fixture(scope="module")
def run_id(airflow: AirflowInstance) -> str:
    started = airflow.client.trigger("proxies")
    assert airflow.client.wait_for_run("proxies", started, timeout=180) == "failed"
    return started


@pytest.mark.parametrize("mode", ["worker", "deferred"])
@pytest.mark.parametrize(("end", "state"), [("succeeds", "success"), ("fails", "failed")])
def test_the_flows_end_is_the_flow_runs_and_its_sidecars_go_with_the_job(
    airflow: AirflowInstance, run_id: str, batch_v1: Any, mode: str, end: str, state: str
) -> None:
    task_id = f"{end}_{mode}"
    assert airflow.client.task_instance("proxies", run_id, task_id)["state"] == state
    found = airflow.client.xcoms("proxies", run_id, task_id)
    assert found["outcome"]["exit_code"] == (0 if end == "succeeds" else 3)
    assert found.get("return_value") == ([1] if end == "succeeds" else None)

    def names() -> list[str]:
        jobs = batch_v1.list_namespaced_job(found["namespace"]).items
        return [job.metadata.name for job in jobs]

    wait_for(lambda: found["job_name"] not in names(), "the Job to be gone")


@pytest.mark.parametrize("mode", ["worker", "deferred"])
def test_the_log_has_the_lines_of_all_containers_and_then_the_cause_first(
    airflow: AirflowInstance, run_id: str, mode: str
) -> None:
    messages = [
        message
        for message in airflow.client.log_messages("proxies", run_id, f"fails_{mode}")
        if isinstance(message, dict)
    ]
    events = [message["event"] for message in messages]
    assert events.count("[flow-container] flow ends") == 1
    assert events.count("[proxy] proxy is up") == 1
    errors = [message for message in messages if message.get("level") == "error"]
    told = [message["event"] for message in errors]
    # The flow's own, which names its level; then the cause.
    assert told[:2] == [f"[flow-container] {NO_ROWS}", "ended with exit code 3: [1]"]
    assert {"container: flow-container", "exit code: 3"} < set(told)
    *lines, airflows = told[told.index("the last lines of its log:") + 1 :]
    assert set(lines) == {"  WARNING few rows", f"  {NO_ROWS}", "  to stderr", "  flow ends"}
    assert airflows == "Task failed with exception"
    # Of the frames that Airflow shows under it, none is ours.
    (shown,) = errors[-1]["error_detail"]
    assert shown["exc_type"] == "FlowRunFailedError"
    assert not [frame for frame in shown["frames"] if "airflow" not in frame["filename"]]
    assert not [frame for frame in shown["frames"] if "flowjob" in frame["filename"]]


@pytest.mark.parametrize("mode", ["worker", "deferred"])
def test_a_flows_lines_have_the_levels_that_they_name(
    airflow: AirflowInstance, run_id: str, mode: str
) -> None:
    messages = airflow.client.log_messages("proxies", run_id, f"succeeds_{mode}")
    levels = {
        message["event"].removeprefix("[flow-container] "): message["level"]
        for message in messages
        if isinstance(message, dict) and message["event"].startswith("[flow-container] ")
    }
    assert levels == {
        "WARNING few rows": "warning",
        NO_ROWS: "error",
        "to stderr": "info",
        "flow ends": "info",
    }
