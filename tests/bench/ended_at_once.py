"""`make bench-alone`: how long the Jobs live on of thousands of flow runs that end together.

The run of a DAG is marked failed, as of a backfill that somebody cancels. All is real but how the
tasks came to wait, and their Jobs are suspended, so they need no pods. Prints one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

from kubernetes import client, config

from flowjob.flow_run import TaskInstanceKey
from tests.support.airflow.instance import (
    AirflowInstance,
    kubernetes_connection,
    running_airflow,
)
from tests.support.audit import AuditLog
from tests.support.flow_runs import FlowRuns, Manifest, new_flow_run
from tests.support.node.node import Node, running_node
from tests.support.node.progress import step
from tests.support.suspended_jobs import SUSPENDED_SPEC
from tests.support.wait import wait_for

DAG_ID, TASK_ID, NAMESPACE = "ended_at_once", "flow", "default"
CONNECTION = "kubernetes_default"
DAGS = Path(__file__).parent / "dags"
_THREADS = 16
# Seconds.
_PATIENCE = 900


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.ended_at_once")
    parser.add_argument("--flow-runs", type=int, default=5000)
    count = parser.parse_args().flow_runs
    with running_node() as node, tempfile.TemporaryDirectory(prefix="flowjob-airflow-") as home:
        settings = {
            **kubernetes_connection(node.kubeconfig, NAMESPACE),
            "FLOW_RUNS": str(count),
            "AIRFLOW__CORE__MAX_MAP_LENGTH": str(count),
            "AIRFLOW__TRIGGERER__CAPACITY": str(count),
        }
        os.environ.update(kubernetes_connection(node.kubeconfig))
        with running_airflow(
            Path(home), {"dags": DAGS}, on_postgres=True, environment=settings
        ) as airflow:
            print(json.dumps(measure(node, airflow, count)))
    return 0


def measure(node: Node, airflow: AirflowInstance, count: int) -> dict[str, Any]:
    batch = client.BatchV1Api(config.new_client_from_config(str(node.kubeconfig)))
    with step(f"Making a run of {count} tasks"):
        run_id = new_run(airflow, count)
    with step(f"Creating {count} Jobs"):
        jobs = create_jobs(run_id, count)
    with step("Waiting for them in the triggerer"):
        defer(airflow, run_id, jobs)

        def have_started() -> bool:
            return len(airflow.trigger_logs(DAG_ID)) == count

        wait_for(have_started, "all triggers to start", _PATIENCE)
    mark = AuditLog(node.audit_log).position()
    with step("Marking the run failed, and waiting until no Job is left"):
        begun = time.monotonic()
        airflow.client.set_run_state(DAG_ID, run_id, "failed")
        marked = time.monotonic()
        wait_for(lambda: jobs_left(batch) == 0, "all Jobs to be gone", _PATIENCE)
        gone = time.monotonic()
    deletes = AuditLog(node.audit_log).count(since=mark, verb="delete", user_agent="flowjob/")
    return {
        "flow_runs": count,
        "seconds_to_mark": marked - begun,
        "seconds_until_all_are_gone": gone - begun,
        "deletes": deletes,
    }


def new_run(airflow: AirflowInstance, count: int) -> str:
    """Make a run of the paused DAG: no scheduler starts its tasks."""
    airflow.client.wait_for_dag(DAG_ID, 120)
    body = {"logical_date": None}
    run_id: str = airflow.client.request("POST", f"dags/{DAG_ID}/dagRuns", json=body)["dag_run_id"]
    assert airflow.client.count_task_instances(DAG_ID, run_id) == count
    return run_id


def create_jobs(run_id: str, count: int) -> list[Manifest]:
    with (
        FlowRuns(CONNECTION, NAMESPACE, "none") as runs,
        ThreadPoolExecutor(_THREADS) as threads,
    ):

        def create(number: int) -> Manifest:
            key = TaskInstanceKey(DAG_ID, run_id, TASK_ID, number)
            flow_run = replace(new_flow_run(), task_instance=key)
            return runs.create(runs.manifest("true", SUSPENDED_SPEC, flow_run))

        return list(threads.map(create, range(count)))


def defer(airflow: AirflowInstance, run_id: str, jobs: list[Manifest]) -> None:
    names = ("name", "namespace", "uid", "labels")
    subprocess.run(
        [sys.executable, "-m", "tests.bench.deferred_tasks", DAG_ID, run_id, CONNECTION],
        input=json.dumps([{name: job["metadata"][name] for name in names} for job in jobs]),
        env=airflow.environment,
        text=True,
        check=True,
    )


def jobs_left(batch: Any) -> int:
    page = batch.list_namespaced_job(NAMESPACE, limit=1)
    return len(page.items) + (page.metadata.remaining_item_count or 0)


if __name__ == "__main__":
    sys.exit(main())
