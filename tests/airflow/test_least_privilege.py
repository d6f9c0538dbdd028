"""An Airflow whose connection has the rights of `deploy/`, and no other, lacks none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from flowjob.flow_run import TaskInstanceKey
from tests.support.access import kubeconfig_of
from tests.support.airflow.instance import AirflowInstance
from tests.support.airflow.world import World, connection
from tests.support.audit import AuditLog
from tests.support.cluster import Cluster
from tests.support.deployed import TRIGGERER, WORKER, applied, rights
from tests.support.flow_runs import new_flow_run
from tests.support.wait import wait_for

pytestmark = pytest.mark.usefixtures("own_node")


@dataclass(frozen=True)
class Restricted:
    """An Airflow connection, and who asks the API server by it."""

    conn_id: str
    user: str


@pytest.fixture(scope="module")
def restricted(
    airflow: AirflowInstance,
    cluster: Cluster,
    airflow_namespace: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Restricted]:
    folder, namespace = tmp_path_factory.mktemp("rights"), airflow_namespace
    objects = rights(namespace, folder, "secrets", "sweep")
    for each in objects:
        # Worker and triggerer of this Airflow share a connection.
        for subject in each.get("subjects", []):
            subject["name"] = WORKER if subject["name"] == TRIGGERER else subject["name"]
    with applied(cluster.kubeconfig, namespace, objects):
        path = kubeconfig_of(cluster.kubeconfig, namespace, WORKER, folder)
        with connection(airflow, path, namespace) as conn_id:
            yield Restricted(conn_id, f"system:serviceaccount:{namespace}:{WORKER}")


@pytest.fixture
def world_in_mode(
    airflow: AirflowInstance, effects: Path, audit_log: AuditLog, core_v1: Any, batch_v1: Any
) -> Callable[[bool], World]:
    return lambda deferrable: World(airflow, effects, audit_log, core_v1, batch_v1, deferrable)


@pytest.mark.parametrize("deferrable", [False, True], ids=["worker", "triggerer"])
def test_flows_run_and_are_killed_with_the_rights_of_the_manifests(
    restricted: Restricted, world_in_mode: Callable[[bool], World], deferrable: bool
) -> None:
    world = world_in_mode(deferrable)
    mark = world.audit_log.position()
    run, killed = (world.start(connection=restricted.conn_id) for _ in range(2))
    for each in (run, killed):
        each.wait_until_waiting()
    run.let_end()
    killed.set_state("failed")
    assert run.wait_for_end() == "success"
    assert run.flow_lines() == ["started", "ended"]
    killed.wait_until_no_pod_is_left()
    asked = world.audit_log.requests(since=mark, user=restricted.user)
    assert {"create", "watch", "delete"} <= {each.verb for each in asked}
    assert [each.uri for each in asked if each.code == 403] == []


def test_the_sweep_deletes_jobs_and_secrets_with_the_rights_of_the_manifests(
    restricted: Restricted,
    airflow: AirflowInstance,
    airflow_namespace: str,
    audit_log: AuditLog,
    core_v1: Any,
    batch_v1: Any,
) -> None:
    name = airflow.environment["AIRFLOW__FLOWJOB__AIRFLOW_NAME"]
    gone = TaskInstanceKey("sweep_by", "a run that was deleted", "flow")
    flow_run = replace(new_flow_run(), task_instance=gone, airflow=name)
    metadata = {
        "name": flow_run.job_name("loose"),
        "labels": flow_run.labels,
        "annotations": flow_run.annotations,
    }
    container = {"name": "flow", "image": "none"}
    pod = {"restartPolicy": "Never", "containers": [container]}
    spec = {"suspend": True, "template": {"spec": pod}}
    batch_v1.create_namespaced_job(airflow_namespace, {"metadata": metadata, "spec": spec})
    core_v1.create_namespaced_secret(airflow_namespace, {"metadata": metadata})
    wait_for(
        lambda: batch_v1.read_namespaced_job(metadata["name"], airflow_namespace).status.conditions,
        "the Job to be suspended, after which nothing changes it",
    )
    mark = audit_log.position()
    run_id = airflow.client.trigger("sweep_by", conf={"connection": restricted.conn_id})
    state = airflow.client.wait_for_run("sweep_by", run_id)
    log = airflow.client.log("sweep_by", run_id, "sweep")
    assert state == "success", log
    for kind in ("Job", "Secret"):
        assert f"Deleted the {kind} {airflow_namespace}/{metadata['name']}" in log
    asked = audit_log.requests(since=mark, user=restricted.user)
    assert [each.uri for each in asked if each.code == 403] == []
