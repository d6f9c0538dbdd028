"""A Secret that no Job came for does not stay, and no other is touched."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from kubernetes.client import ApiException

from flowjob.flow_run import FlowRun, TaskInstanceKey
from tests.support.airflow.instance import AirflowInstance
from tests.support.airflow.sweeping import sweep
from tests.support.airflow.world import Run, World
from tests.support.audit import AuditLog
from tests.support.flow_runs import new_flow_run

pytestmark = pytest.mark.usefixtures("own_node")


@pytest.fixture
def run(
    airflow: AirflowInstance, effects: Path, audit_log: AuditLog, core_v1: Any, batch_v1: Any
) -> Run:
    """A run whose flow is at work."""
    run = World(airflow, effects, audit_log, core_v1, batch_v1, deferrable=False).start()
    run.wait_for_effects()
    return run


def secret_of(core_v1: Any, namespace: str, flow_run: FlowRun, **metadata: Any) -> str:
    """Make a Secret as a worker does before its Job, and return its name."""
    name = flow_run.job_name("loose")
    metadata |= {"name": name, "labels": flow_run.labels, "annotations": flow_run.annotations}
    core_v1.create_namespaced_secret(
        namespace, {"metadata": metadata, "stringData": {"KEY": "key-marker-0b7c"}}
    )
    return name


def test_the_sweep_deletes_secrets_of_ended_tasks_that_no_job_has_and_no_others(
    run: Run, airflow: AirflowInstance, airflow_namespace: str, core_v1: Any
) -> None:
    def flow_run(key: TaskInstanceKey, **changes: Any) -> FlowRun:
        name = airflow.environment["AIRFLOW__FLOWJOB__AIRFLOW_NAME"]
        return replace(new_flow_run(), task_instance=key, **{"airflow": name, **changes})

    gone = TaskInstanceKey("exactly_one", "a run that was deleted", "flow")
    (job,) = run.jobs()
    owner = {"apiVersion": "batch/v1", "kind": "Job"}
    owner |= {"name": job.metadata.name, "uid": job.metadata.uid}
    loose = secret_of(core_v1, airflow_namespace, flow_run(gone))
    kept = [
        secret_of(core_v1, airflow_namespace, flow_run(run.key)),
        secret_of(core_v1, airflow_namespace, flow_run(gone), ownerReferences=[owner]),
        secret_of(core_v1, airflow_namespace, flow_run(gone, airflow="http://another")),
    ]
    _, log = sweep(airflow.client)
    assert f"Deleted the Secret {airflow_namespace}/{loose}: {gone} is gone" in log
    assert "key-marker-0b7c" not in log
    with pytest.raises(ApiException, match="404"):
        core_v1.read_namespaced_secret(loose, airflow_namespace)
    for name in kept:
        assert core_v1.read_namespaced_secret(name, airflow_namespace)
        assert name not in log

    run.let_end()
    assert run.wait_for_end() == "success"
    _, log = sweep(airflow.client)
    assert f"Deleted the Secret {airflow_namespace}/{kept[0]}: {run.key} has ended (success)" in log
