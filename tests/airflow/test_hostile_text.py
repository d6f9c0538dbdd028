"""Whatever a flow writes, it is told, stored or refused, and takes nothing down."""

from __future__ import annotations

import pytest

from tests.support.airflow.instance import AirflowInstance

WAITS = ("in_the_worker", "where_the_pod_stays", "where_the_pod_goes")


@pytest.fixture(scope="module")
def run_id(airflow: AirflowInstance) -> str:
    triggerer = airflow.triggerer.process_id
    started = airflow.client.trigger("hostile")
    assert airflow.client.wait_for_run("hostile", started, timeout=240) == "failed"
    assert airflow.triggerer.is_running
    assert airflow.triggerer.process_id == triggerer
    return started


@pytest.mark.parametrize("waits", WAITS)
@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("nul_result", "Airflow cannot store the character U+0000"),
        ("nul_in_json", "Airflow cannot store the character U+0000"),
        ("nul_in_error", "it broke\N{REPLACEMENT CHARACTER}here"),
    ],
)
def test_a_nul_that_a_flow_wrote_fails_its_own_task_with_a_sentence(
    airflow: AirflowInstance, run_id: str, name: str, told: str, waits: str
) -> None:
    task_id = f"{name}_{waits}"
    assert airflow.client.task_instance("hostile", run_id, task_id)["state"] == "failed"
    assert told in airflow.client.log("hostile", run_id, task_id)
    assert "API_SERVER_ERROR" not in airflow.client.log("hostile", run_id, task_id)


@pytest.mark.parametrize("waits", WAITS)
def test_any_bytes_in_a_log_come_as_one_line_without_control_characters(
    airflow: AirflowInstance, run_id: str, waits: str
) -> None:
    task_id = f"bytes_in_log_{waits}"
    assert airflow.client.task_instance("hostile", run_id, task_id)["state"] == "success"
    messages = airflow.client.log_messages("hostile", run_id, task_id)
    events = [message["event"] for message in messages if isinstance(message, dict)]
    if waits != "where_the_pod_goes":
        (line,) = [event for event in events if event.startswith("begin ")]
        assert line.endswith(" end")
        assert not set(line) & set("\0\b")
