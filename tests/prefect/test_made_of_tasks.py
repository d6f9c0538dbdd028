"""Flows of Prefect 0.x and 1.x, which are made of tasks, without a Prefect server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.prefect.run import AIRFLOW, FLOWS, Container

# As a job spec has it that was made for Prefect Cloud.
CLOUD = {
    "PREFECT__ENGINE__FLOW_RUNNER__DEFAULT_CLASS": "prefect.engine.cloud.CloudFlowRunner",
    "PREFECT__ENGINE__TASK_RUNNER__DEFAULT_CLASS": "prefect.engine.cloud.CloudTaskRunner",
    "PREFECT__CLOUD__USE_LOCAL_SECRETS": "false",
}


@pytest.fixture(params=["0.15", "1.4"])
def container(request: pytest.FixtureRequest, tmp_path: Path) -> Container:
    return Container(request.param, tmp_path)


def test_the_references_example_runs_once_whatever_its_schedule(container: Container) -> None:
    run = container.run("made_of_tasks:example")
    assert (run.code, run.result) == (0, {"output_value": None})
    assert "\nExample!\n" in run.log
    assert "INFO - prefect.FlowRunner | Flow run SUCCESS" in run.log


@pytest.mark.parametrize(
    ("flow", "parameters", "result"),
    [
        ("mapped", {}, {"divide": [0.5, 1.0, 1.5]}),
        ("skipping", {}, {"same": None}),
        ("retries", {}, {"works_at_last": 2}),
        (
            "parameters",
            {"region": "$(HOME) é"},
            {"region of": "$(HOME) é", "same-1": "monday", "same-2": "monday"},
        ),
        # The flow's state does not ask for it.
        ("last_task_fails", {}, {"divide-1": None, "divide-2": [1.0, None]}),
    ],
)
def test_the_results_of_the_last_tasks_are_the_flows(
    container: Container, flow: str, parameters: dict[str, Any], result: dict[str, Any]
) -> None:
    run = container.run(f"made_of_tasks:{flow}", parameters)
    assert (run.code, run.result) == (0, result)


@pytest.mark.parametrize(
    ("flow", "told"),
    [
        ("failing", "task 'divide' failed: ZeroDivisionError: division by zero"),
        ("refusing", "task 'refuse' failed: FAIL: no rows today"),
        (
            "mapped_failing",
            "task 'divide' (map index 1) failed: ZeroDivisionError: division by zero "
            "(and 1 more failed)",
        ),
        (
            "waits_for_approval",
            "a task waits to be approved: give it a trigger other than manual_only",
        ),
    ],
)
def test_a_task_that_failed_is_named_with_its_own_exception(
    container: Container, flow: str, told: str
) -> None:
    run = container.run(f"made_of_tasks:{flow}")
    assert (run.code, run.message) == (1, told)
    # What the log shows last.
    assert run.log.endswith(f"\n{told}\n")


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ({}, "the flow 'parameters' needs the parameters region"),
        (
            {"region": "eu", "dya": "friday"},
            "the flow 'parameters' has no parameters dya: it has day, region",
        ),
    ],
)
def test_parameters_that_the_flow_does_not_take_are_told_before_it_runs(
    container: Container, parameters: dict[str, Any], told: str
) -> None:
    run = container.run("made_of_tasks:parameters", parameters)
    assert (run.code, run.message) == (1, told)
    assert "Beginning Flow run" not in run.log


def test_a_flow_knows_its_slice_of_time_and_its_secrets_as_under_prefect_cloud(
    container: Container,
) -> None:
    run = container.run(
        "made_of_tasks:in_context", {}, PREFECT__CONTEXT__SECRETS__CRM="pass", **CLOUD
    )
    assert run.result["tell_context"] == {
        "scheduled_start_time": AIRFLOW["AIRFLOW_CTX_DATA_INTERVAL_END"],
        "data_interval_start": AIRFLOW["AIRFLOW_CTX_DATA_INTERVAL_START"],
        "data_interval_end": AIRFLOW["AIRFLOW_CTX_DATA_INTERVAL_END"],
        "flow_run_id": AIRFLOW["FLOW_RUN_ID"],
        "secret": "pass",
    }
    assert "WARNING - prefect.tell_context | careful" in run.log


def test_a_flow_that_was_triggered_by_hand_starts_now(container: Container) -> None:
    nothing = dict.fromkeys(AIRFLOW, "")
    run = container.run(
        "made_of_tasks:in_context", {}, PREFECT__CONTEXT__SECRETS__CRM="", **nothing
    )
    told = run.result["tell_context"]
    assert told.keys() == {"scheduled_start_time", "flow_run_id", "secret"}
    assert told["scheduled_start_time"] > "2026-02"


@pytest.mark.parametrize("form", ["cloudpickle", "docker"])
def test_a_flow_runs_from_the_file_that_docker_storage_made_of_it(
    container: Container, form: str
) -> None:
    # In older versions it was the flow alone, and now its versions stand beside it.
    write = {
        "cloudpickle": "cloudpickle.dumps(flow)",
        "docker": "prefect.utilities.storage.flow_to_bytes_pickle(flow)",
    }
    code = f"""
import cloudpickle, pathlib, prefect, runpy
flow = runpy.run_path({str(FLOWS / "made_of_tasks.py")!r}, run_name="__main__")["parameters"]
pathlib.Path("sales.prefect").write_bytes({write[form]})
"""
    container.python(code)
    container.path.remove(FLOWS)
    flow = str(container.folder / "sales.prefect")
    run = container.run(flow, {"region": "eu", "day": "friday"})
    assert (run.code, run.result["region of"], run.result["same-1"]) == (0, "eu", "friday")


@pytest.mark.parametrize(
    ("flow", "told"),
    [
        ("made_of_tasks:no_flow", "'made_of_tasks:no_flow' is a str and no flow of Prefect's"),
        ("made_of_tasks:absent", "AttributeError: module 'made_of_tasks' has no attribute"),
        ("/nowhere.prefect", "FileNotFoundError: [Errno 2] No such file"),
    ],
)
def test_what_is_no_flow_is_told(container: Container, flow: str, told: str) -> None:
    run = container.run(flow)
    assert run.code == 1
    assert run.message.startswith(told)


def test_a_kill_lets_a_task_clean_up(container: Container) -> None:
    run, _ = container.kill("made_of_tasks:sleeps")
    assert run.code == 143
    assert "the lock is given back" in run.log
