"""The spec, the env and the key of a flow reach neither Airflow's database nor any log."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from tests.support.airflow.fixtures import API_KEY, ENV_MARKER, PASSWORD, SECRETS, NewAirflow
from tests.support.airflow.instance import AirflowInstance

# It stands in the job specs of tests/airflow/dags/specs.
SPEC_MARKER = "spec-marker-5f1d"
ENDS = {"succeeds": "success", "fails": "failed", "has_bad_result": "failed", "refused": "failed"}
ENDS |= {"keyed_succeeds": "success", "keyed_fails": "failed"}
ENDS |= {f"{name}_deferred": state for name, state in ENDS.items()}
# The key, and as a Secret has it.
KEYS = (API_KEY, base64.b64encode(API_KEY.encode()).decode())


@pytest.fixture(scope="module", params=["INFO", "DEBUG"])
def airflow_with_secrets(
    deferring_airflow: AirflowInstance, new_airflow: NewAirflow, request: pytest.FixtureRequest
) -> Iterator[tuple[AirflowInstance, str]]:
    with ExitStack() as ending:
        airflow = deferring_airflow
        if request.param == "DEBUG":
            environment = {**SECRETS, "AIRFLOW__LOGGING__LOGGING_LEVEL": "DEBUG"}
            airflow = ending.enter_context(new_airflow(on_postgres=True, environment=environment))
        run_id = airflow.client.trigger("private")
        airflow.client.wait_for_run("private", run_id)
        yield airflow, run_id


def around(marker: str, text: str) -> str:
    """Return the place where a marker leaked."""
    at = text.index(marker)
    return text[max(at - 300, 0) : at + 100]


def test_spec_env_and_key_leave_no_trace_in_airflow(
    airflow_with_secrets: tuple[AirflowInstance, str],
) -> None:
    airflow, run_id = airflow_with_secrets
    states = {ti["task_id"]: ti["state"] for ti in airflow.client.task_instances("private", run_id)}
    assert states == ENDS

    stored = {"the database": airflow.database_dump().decode(errors="replace")}
    stored |= {str(file): text.decode(errors="replace") for file, text in airflow.all_logs()}
    for marker in (SPEC_MARKER, ENV_MARKER, PASSWORD, *KEYS):
        found_in = {place: around(marker, text) for place, text in stored.items() if marker in text}
        assert found_in == {}, marker


def test_a_secret_that_the_flow_prints_is_masked(
    airflow_with_secrets: tuple[AirflowInstance, str],
) -> None:
    airflow, run_id = airflow_with_secrets
    for task_id in ("succeeds", "fails", "succeeds_deferred", "fails_deferred"):
        assert "password ***" in airflow.client.log("private", run_id, task_id)
        keyed = airflow.client.log("private", run_id, f"keyed_{task_id}")
        assert "key ***" in keyed
        assert "token ***" in keyed


def test_the_key_of_a_flow_stands_in_no_job(
    airflow_with_secrets: tuple[AirflowInstance, str], batch_v1: Any, core_v1: Any
) -> None:
    airflow, run_id = airflow_with_secrets
    told = airflow.client.xcoms("private", run_id, "keyed_succeeds")
    namespace = told["namespace"]
    for items in (batch_v1.list_namespaced_job(namespace), core_v1.list_namespaced_pod(namespace)):
        assert told["job_name"] in str(items)
        assert [key for key in KEYS if key in str(items)] == []
