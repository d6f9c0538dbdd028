"""A flow of Prefect Cloud 0.x finds what the reference's environment gave it.

The flow itself fails here: the image has no Prefect. What reaches the cluster is the contract.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.airflow.instance import AirflowInstance

CONNECTION = {
    "connection_id": "prefect_default",
    "conn_type": "prefect",
    "host": "https://prefect.example",
    "password": "prefect-key-77e0",
}


@pytest.fixture(scope="module")
def run_id(airflow: AirflowInstance) -> str:
    airflow.client.request("POST", "connections", json=CONNECTION)
    try:
        run_id = airflow.client.trigger("prefect_cloud")
        assert airflow.client.wait_for_run("prefect_cloud", run_id) == "failed"
    finally:
        airflow.client.request("DELETE", "connections/prefect_default")
    return run_id


def test_the_flow_container_gets_the_references_command_and_variables(
    airflow: AirflowInstance, run_id: str, batch_v1: Any
) -> None:
    xcoms = airflow.client.xcoms("prefect_cloud", run_id, "flow")
    job = batch_v1.read_namespaced_job(xcoms["job_name"], xcoms["namespace"])
    container = job.spec.template.spec.containers[0]
    env = {variable.name: variable.value for variable in container.env}
    assert container.command == ["/bin/sh", "-c"]
    assert container.args == [
        "python -c 'import prefect; prefect.environments.execution.load_and_run_flow()'"
    ]
    assert env["PREFECT__CLOUD__GRAPHQL"] == "https://prefect.example/graphql"
    assert env["PREFECT__CLOUD__API_KEY"] == CONNECTION["password"]
    assert env["PREFECT__CONTEXT__FLOW_RUN_ID"] == xcoms["flow_run_id"]
    assert env["PREFECT__CONTEXT__NAMESPACE"] == xcoms["namespace"]
    assert env["PREFECT__CONTEXT__IMAGE"] == container.image
    assert len([name for name in env if name.startswith("PREFECT__")]) == 10


def test_the_log_says_that_the_specs_own_command_is_replaced(
    airflow: AirflowInstance, run_id: str
) -> None:
    log = airflow.client.log("prefect_cloud", run_id, "flow")
    assert "set flow=SpecFlow() to run the spec's own" in log
    assert "No module named 'prefect'" in log
    assert CONNECTION["password"] not in log
