"""A flow of Prefect Cloud 0.x finds what the reference's environment gave it.

The flow itself fails here: the image has no Prefect. What reaches the cluster is the contract.
"""

from __future__ import annotations

import base64
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
    airflow: AirflowInstance, run_id: str, batch_v1: Any, core_v1: Any
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
    assert env["PREFECT__CONTEXT__FLOW_RUN_ID"] == xcoms["flow_run_id"]
    assert env["PREFECT__CONTEXT__NAMESPACE"] == xcoms["namespace"]
    assert env["PREFECT__CONTEXT__IMAGE"] == container.image
    # The ten of the reference, what versions before 0.15 read their key from, and later ones their
    # address.
    assert env["PREFECT__CLOUD__API"] == "https://prefect.example"
    assert len([name for name in env if name.startswith("PREFECT__")]) == 12
    secret = core_v1.read_namespaced_secret(xcoms["job_name"], xcoms["namespace"])
    assert secret.metadata.owner_references[0].uid == job.metadata.uid
    for name in ("PREFECT__CLOUD__API_KEY", "PREFECT__CLOUD__AUTH_TOKEN"):
        (source,) = (each.value_from for each in container.env if each.name == name)
        assert source.secret_key_ref.name == secret.metadata.name
        key = base64.b64decode(secret.data[source.secret_key_ref.key]).decode()
        assert key == CONNECTION["password"]
    assert CONNECTION["password"] not in str(job)


def test_the_log_says_that_the_specs_own_command_is_replaced(
    airflow: AirflowInstance, run_id: str
) -> None:
    log = airflow.client.log("prefect_cloud", run_id, "flow")
    assert "set flow=SpecFlow() to run the spec's own" in log
    assert "No module named 'prefect'" in log
    assert CONNECTION["password"] not in log
