"""A real Prefect 3, a real Airflow and a real node agree on a flow run: its id and how it ended."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.airflow.client import AirflowClient
from tests.support.airflow.fixtures import NewAirflow
from tests.support.prefect_server import PrefectServer, running_prefect

FLOWS = Path(__file__).parents[1] / "prefect" / "flows"
DAG = "prefect_deployment"
MODES = ("worker", "deferred")

pytestmark = pytest.mark.usefixtures("own_node")


@pytest.fixture(scope="module")
def prefect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    with running_prefect(tmp_path_factory.mktemp("prefect")) as server:
        yield server


@pytest.fixture(scope="module")
def client(new_airflow: NewAirflow, prefect: PrefectServer) -> Iterator[AirflowClient]:
    connection = {"conn_type": "prefect", "host": prefect.api_url}
    environment = {
        "AIRFLOW_CONN_PREFECT_DEFAULT": json.dumps(connection),
        "PREFECT_PACKAGES": str(prefect.packages),
        "PREFECT_FLOWS": str(FLOWS),
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "2",
    }
    with new_airflow(on_postgres=True, environment=environment) as airflow:
        yield airflow.client


@pytest.fixture(scope="module")
def trigger(client: AirflowClient, prefect: PrefectServer) -> Callable[[str], str]:
    deployment = prefect.deploy("sales.py:sales", str(FLOWS))

    def start(how: str) -> str:
        return client.trigger(DAG, conf={"deployment": deployment, "how": how})

    return start


def ended(client: AirflowClient, prefect: PrefectServer, run_id: str, mode: str) -> Any:
    """Return the XComs of a task that has ended, after a look at what both systems say."""
    client.wait_for_task(DAG, run_id, mode, ["success", "failed"], timeout=240)
    xcoms = client.xcoms(DAG, run_id, mode)
    told = xcoms["remote_run"]
    flow_run = prefect.flow_run(told["id"])
    assert flow_run["idempotency_key"] == xcoms["flow_run_id"]
    assert told["state"] in (flow_run["state"]["name"], None)
    return xcoms


def wait_until_both_run(client: AirflowClient, prefect: PrefectServer, run_id: str) -> list[str]:
    """Wait until both flow runs work in Prefect's eyes; return their ids."""
    client.wait_for(lambda: len(prefect.flow_runs(run_id)) == 2, "two flow runs", 120)
    ids = [str(flow_run["id"]) for flow_run in prefect.flow_runs(run_id)]
    for each in ids:
        prefect.wait_for_state(each, ["RUNNING"], 120)
    return ids


def test_a_flow_run_succeeds_and_its_result_comes_back(
    client: AirflowClient, prefect: PrefectServer, trigger: Callable[[str], str], batch_v1: Any
) -> None:
    run_id = trigger("ends")
    for mode in MODES:
        xcoms = ended(client, prefect, run_id, mode)
        assert xcoms["status"] == "succeeded"
        assert xcoms["remote_run"]["state"] == "Completed"
        assert xcoms["return_value"] == {"region": "eu", "rows": 3}
        assert client.extra_links(DAG, run_id, mode) == {"Prefect": xcoms["remote_run"]["url"]}
        job = batch_v1.read_namespaced_job(xcoms["job_name"], xcoms["namespace"])
        for labels in (job.metadata.labels, job.spec.template.metadata.labels):
            assert labels["prefect.io/flow-run-id"] == xcoms["remote_run"]["id"]
            assert labels["prefect.io/flow-name"] == "sales"


def test_a_flow_that_fails_fails_the_task_although_its_job_succeeds(
    client: AirflowClient, prefect: PrefectServer, trigger: Callable[[str], str]
) -> None:
    run_id = trigger("fails")
    for mode in MODES:
        xcoms = ended(client, prefect, run_id, mode)
        assert (xcoms["status"], xcoms["outcome"]["exit_code"]) == ("failed", 0)
        assert "ValueError: no region eu" in xcoms["outcome"]["message"]
        assert xcoms["remote_run"]["state"] == "Failed"


def test_a_flow_run_that_cannot_report_its_end_is_crashed_in_prefect_with_the_reason(
    client: AirflowClient, prefect: PrefectServer, trigger: Callable[[str], str]
) -> None:
    run_id = trigger("kills_all")
    for mode in MODES:
        xcoms = ended(client, prefect, run_id, mode)
        assert (xcoms["status"], xcoms["outcome"]["exit_code"]) == ("failed", 137)
        state = prefect.flow_run(xcoms["remote_run"]["id"])["state"]
        assert (state["name"], state["message"]) == ("Crashed", xcoms["outcome"]["message"])
        assert xcoms["remote_run"]["state"] == "Crashed"


def test_a_task_that_is_killed_cancels_its_flow_run_in_prefect(
    client: AirflowClient, prefect: PrefectServer, trigger: Callable[[str], str]
) -> None:
    run_id = trigger("sleeps")
    ids = wait_until_both_run(client, prefect, run_id)
    for mode in MODES:
        client.set_state(DAG, run_id, mode, "failed")
    for each in ids:
        prefect.wait_for_state(each, ["CANCELLED"], 60)
        assert "ended in Airflow" in prefect.flow_run(each)["state"]["message"]
    assert client.xcoms(DAG, run_id, "worker")["status"] == "cancelled"


def test_a_flow_run_that_is_cancelled_in_prefect_ends_its_task(
    client: AirflowClient, prefect: PrefectServer, trigger: Callable[[str], str]
) -> None:
    run_id = trigger("sleeps")
    for each in wait_until_both_run(client, prefect, run_id):
        prefect.set_state(each, "CANCELLING")
    for mode in MODES:
        xcoms = ended(client, prefect, run_id, mode)
        assert xcoms["status"] == "cancelled"
        assert xcoms["remote_run"]["state"] == "Cancelled"
        assert "somebody has done that in Prefect" in client.log(DAG, run_id, mode)
