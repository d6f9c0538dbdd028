"""What Airflow's database holds of a trigger."""

from __future__ import annotations

import inspect
import json
from typing import Any

from flowjob.triggers.flow_job import FlowJobTrigger

ARGUMENTS: dict[str, Any] = {
    "kubernetes_conn_id": "cluster",
    "namespace": "flows",
    "job_name": "sales-1",
    "job_uid": "u",
    "flow_run_id": "f",
    "flow_container": "flow",
    "dag_id": "nightly",
    "run_id": "manual",
    "task_id": "sales",
    "map_index": 2,
    "logging_interval": 30.0,
    "startup_timeout": 600.0,
    "wait_for": "flow",
    "exit_codes": [99],
    "log_containers": ["flow", "proxy"],
    "not_before": 12.5,
    "remote_run": '{"api": "rest"}',
}


def test_another_triggerer_makes_the_same_trigger_from_what_is_stored() -> None:
    path, stored = FlowJobTrigger(**ARGUMENTS).serialize()
    assert path == "flowjob.triggers.flow_job.FlowJobTrigger"
    assert json.loads(json.dumps(stored)) == ARGUMENTS
    assert set(stored) == set(inspect.signature(FlowJobTrigger).parameters)
    assert FlowJobTrigger(**stored).serialize() == (path, stored)
