"""A Prefect, a real Airflow and a real node agree on a flow run: its id and how it ended.

Prefect 3 with its own server, and Prefect 0.15 with a GraphQL API of the test's own.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.airflow.client import AirflowClient
from tests.support.airflow.fixtures import NewAirflow
from tests.support.airflow.sweeping import sweep
from tests.support.airflow.world import FRAGILE
from tests.support.fake_prefect import KEY, FakePrefect
from tests.support.prefect import prefect_packages
from tests.support.prefect_server import PrefectServer, running_prefect
from tests.support.registered_flows import register_flows
from tests.support.wait import wait_for

FLOWS = Path(__file__).parents[1] / "prefect" / "flows"
MODES = ("worker", "deferred")

pytestmark = pytest.mark.usefixtures("own_node")


@pytest.fixture(scope="module")
def prefect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    with running_prefect(tmp_path_factory.mktemp("prefect")) as server:
        yield server


@pytest.fixture(scope="module")
def old_prefect() -> Iterator[FakePrefect]:
    with FakePrefect() as server:
        yield server


@pytest.fixture(scope="module")
def flows(old_prefect: FakePrefect, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the flows of both generations."""
    folder = tmp_path_factory.mktemp("flows")
    folder.chmod(0o755)
    register_flows(old_prefect, folder)
    (folder / "sales.py").write_text((FLOWS / "sales.py").read_text())
    return folder


@pytest.fixture(scope="module")
def client(
    new_airflow: NewAirflow, prefect: PrefectServer, old_prefect: FakePrefect, flows: Path
) -> Iterator[AirflowClient]:
    old = {"conn_type": "prefect", "host": old_prefect.url, "password": KEY}
    environment = {
        "AIRFLOW_CONN_PREFECT_DEFAULT": json.dumps(
            {"conn_type": "prefect", "host": prefect.api_url}
        ),
        "AIRFLOW_CONN_PREFECT_SERVER": json.dumps(old),
        "PREFECT_3": str(prefect.packages),
        "PREFECT_0": str(prefect_packages("0.15")),
        "PREFECT_FLOWS": str(flows),
    }
    with new_airflow(on_postgres=True, environment=FRAGILE | environment) as airflow:
        yield airflow.client


@pytest.fixture(scope="module")
def deployment(prefect: PrefectServer, flows: Path) -> str:
    return prefect.deploy("sales.py:sales", str(flows))


class Run:
    """A run of a DAG with one flow run."""

    def __init__(self, client: AirflowClient, dag_id: str, **conf: str) -> None:
        self._client = client
        self.dag_id = dag_id
        self.run_id = client.trigger(dag_id, conf=dict(conf))

    @property
    def task(self) -> dict[str, Any]:
        return self._client.task_instance(self.dag_id, self.run_id, "flow")

    def ended(self) -> dict[str, Any]:
        """Wait for the task's end, and return its XComs."""
        states = ["success", "failed"]
        self._client.wait_for_task(self.dag_id, self.run_id, "flow", states, timeout=240)
        return self._client.xcoms(self.dag_id, self.run_id, "flow")

    def log(self, try_number: int = 1) -> str:
        return self._client.log(self.dag_id, self.run_id, "flow", try_number)

    def mark_failed(self) -> None:
        self._client.set_state(self.dag_id, self.run_id, "flow", "failed")

    def wait_for_try(self, number: int) -> None:
        self._client.wait_for_task(self.dag_id, self.run_id, "flow", ["running"], try_number=number)

    def kill_worker(self, *, supervisor: bool) -> None:
        """Kill the task's process, and where wanted who supervises it: Airflow hears of nothing."""
        process = int(self.task["pid"])
        stat = Path(f"/proc/{process}/stat").read_text()
        doomed = [int(stat.rpartition(")")[2].split()[1])] if supervisor else []
        for each in (*doomed, process):
            os.kill(each, signal.SIGKILL)


def agreed(prefect: PrefectServer, xcoms: dict[str, Any]) -> dict[str, Any]:
    """Return the flow run in Prefect, whose id and state Airflow must have, too."""
    told = xcoms["remote_run"]
    flow_run = prefect.flow_run(told["id"])
    assert flow_run["idempotency_key"] == xcoms["flow_run_id"]
    assert flow_run["state"]["name"] == told["state"]
    return flow_run


def sleeping(
    client: AirflowClient, prefect: PrefectServer, dag: str, deployment: str
) -> tuple[list[Run], list[str]]:
    """Start flow runs in both modes; return their runs and ids as soon as they work."""
    runs = [Run(client, f"{dag}_{mode}", deployment=deployment, how="sleeps") for mode in MODES]
    return runs, [running(prefect, run) for run in runs]


def running(prefect: PrefectServer, run: Run) -> str:
    """Wait until the one flow run of a run works; return its id."""
    (flow_run,) = wait_for(lambda: prefect.flow_runs(run.run_id), "the flow run", 120)
    prefect.wait_for_state(flow_run["id"], ["RUNNING"], 120)
    return str(flow_run["id"])


def test_a_flow_run_succeeds_and_its_result_comes_back(
    client: AirflowClient, prefect: PrefectServer, deployment: str, batch_v1: Any
) -> None:
    dags = [f"prefect_deployment_{mode}" for mode in MODES]
    for run in [Run(client, dag, deployment=deployment, how="ends") for dag in dags]:
        xcoms = run.ended()
        flow_run = agreed(prefect, xcoms)
        assert (xcoms["status"], flow_run["state_type"]) == ("succeeded", "COMPLETED")
        assert xcoms["return_value"] == {"region": "eu", "rows": 3}
        links = client.extra_links(run.dag_id, run.run_id, "flow")
        assert links["Prefect"] == xcoms["remote_run"]["url"]
        job = batch_v1.read_namespaced_job(xcoms["job_name"], xcoms["namespace"])
        for labels in (job.metadata.labels, job.spec.template.metadata.labels):
            assert labels["prefect.io/flow-run-id"] == flow_run["id"]
            assert labels["prefect.io/flow-name"] == "sales"


def test_a_flow_that_fails_fails_the_task_although_its_job_succeeds(
    client: AirflowClient, prefect: PrefectServer, deployment: str
) -> None:
    dags = [f"prefect_deployment_{mode}" for mode in MODES]
    for run in [Run(client, dag, deployment=deployment, how="fails") for dag in dags]:
        xcoms = run.ended()
        assert agreed(prefect, xcoms)["state_type"] == "FAILED"
        assert (xcoms["status"], xcoms["outcome"]["exit_code"]) == ("failed", 0)
        assert "ValueError: no region eu" in xcoms["outcome"]["message"]


def test_a_flow_run_that_cannot_report_its_end_is_crashed_in_prefect_with_the_reason(
    client: AirflowClient, prefect: PrefectServer, deployment: str
) -> None:
    dags = [f"prefect_deployment_{mode}" for mode in MODES]
    for run in [Run(client, dag, deployment=deployment, how="kills_all") for dag in dags]:
        xcoms = run.ended()
        state = agreed(prefect, xcoms)["state"]
        assert (xcoms["status"], xcoms["outcome"]["exit_code"]) == ("failed", 137)
        assert (state["type"], state["message"]) == ("CRASHED", xcoms["outcome"]["message"])


def test_a_flow_run_whose_job_is_refused_is_crashed_in_prefect_with_the_reason(
    client: AirflowClient, prefect: PrefectServer, deployment: str
) -> None:
    run = Run(client, "prefect_refused", deployment=deployment)
    run.ended()
    (flow_run,) = prefect.flow_runs(run.run_id)
    assert flow_run["state_type"] == "CRASHED"
    assert "spec.misspelt" in flow_run["state"]["message"]


def test_a_task_that_is_killed_cancels_its_flow_run_in_prefect(
    client: AirflowClient, prefect: PrefectServer, deployment: str
) -> None:
    runs, ids = sleeping(client, prefect, "prefect_deployment", deployment)
    for run in runs:
        run.mark_failed()
    for each in ids:
        prefect.wait_for_state(each, ["CANCELLED"], 60)
        assert "ended in Airflow" in prefect.flow_run(each)["state"]["message"]
    xcoms = runs[0].ended()
    assert xcoms["status"] == "cancelled"
    agreed(prefect, xcoms)


def test_a_flow_run_that_is_cancelled_in_prefect_ends_its_task_for_good(
    client: AirflowClient, prefect: PrefectServer, deployment: str
) -> None:
    runs, ids = sleeping(client, prefect, "prefect_retried", deployment)
    for each in ids:
        prefect.set_state(each, "CANCELLING")
    for run in runs:
        xcoms = run.ended()
        assert agreed(prefect, xcoms)["state_type"] == "CANCELLED"
        assert xcoms["status"] == "cancelled"
        assert "cancelled in Prefect by somebody" in run.log()
        assert run.task["try_number"] == 1


def test_a_try_that_adopts_a_job_goes_on_with_its_flow_run_in_prefect(
    client: AirflowClient, prefect: PrefectServer, deployment: str
) -> None:
    run = Run(client, "prefect_retried_worker", deployment=deployment, how="sleeps")
    run_id = running(prefect, run)
    run.kill_worker(supervisor=False)
    run.wait_for_try(2)
    wait_for(lambda: "Adopted the Job" in run.log(2), "the second try to adopt the Job", 60)
    run.mark_failed()
    prefect.wait_for_state(run_id, ["CANCELLED"], 60)
    xcoms = run.ended()
    assert xcoms["remote_run"]["id"] == run_id
    assert len(prefect.flow_runs(run.run_id)) == 1


def test_the_sweep_cancels_in_prefect_what_nobody_waits_for(
    client: AirflowClient, prefect: PrefectServer, deployment: str
) -> None:
    run = Run(client, "prefect_deployment_worker", deployment=deployment, how="sleeps")
    run_id = running(prefect, run)
    run.kill_worker(supervisor=True)
    xcoms = run.ended()
    assert prefect.flow_run(run_id)["state_type"] == "RUNNING"
    swept, log = sweep(client)
    assert any(name.endswith(xcoms["job_name"]) for name in swept)
    assert prefect.flow_run(run_id)["state_type"] == "CANCELLED", log


@pytest.mark.parametrize(("region", "state"), [("eu", "Success"), ("us", "Failed")])
def test_a_registered_flow_of_prefect_0_15_ends_as_prefect_says(
    client: AirflowClient, old_prefect: FakePrefect, region: str, state: str
) -> None:
    dags = [f"prefect_registered_{mode}" for mode in MODES]
    for run in [Run(client, dag, region=region) for dag in dags]:
        xcoms = run.ended()
        told = xcoms["remote_run"]
        flow_run = old_prefect.flow_runs[told["id"]]
        states = [each["type"] for each in flow_run.states]
        assert states == ["Scheduled", "Submitted", "Running", state]
        assert told["state"] == state
        assert flow_run.wanted["idempotency_key"] == xcoms["flow_run_id"]
        assert flow_run.wanted["parameters"] == {"region": region}
        assert xcoms["status"] == ("succeeded" if state == "Success" else "failed")
        assert KEY not in run.log()
