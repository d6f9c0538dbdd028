"""Flows that leave a line for each time they ran, and that end when they are told to."""

from __future__ import annotations

import copy
import os
import signal
from datetime import UTC, datetime, timedelta
from typing import Any

from airflow.sdk import DAG, Context

from flowjob.operators.flow_job import FlowJobOperator

# Appends a line to the file of effects, and waits for the file that lets it end.
SCRIPT = """
name="$AIRFLOW_CTX_DAG_ID.$AIRFLOW_CTX_DAG_RUN_ID.$AIRFLOW_CTX_TASK_ID"
echo "$name $FLOW_RUN_ID" >> /effects/lines
echo started
while ! [ -e "/effects/$name.end" ] && [ "$WAITS" = yes ]; do sleep 0.1; done
echo ended
"""
SPEC: dict[str, Any] = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {"name": "exactly-one"},
    "spec": {
        "backoffLimit": 0,
        "template": {
            "spec": {
                "terminationGracePeriodSeconds": 1,
                "containers": [
                    {
                        "name": "flow-container",
                        "volumeMounts": [{"name": "effects", "mountPath": "/effects"}],
                    }
                ],
                "volumes": [
                    {"name": "effects", "hostPath": {"path": os.environ.get("FLOW_EFFECTS", "/x")}}
                ],
            }
        },
    },
}
SIDECAR: dict[str, Any] = {
    "name": "sidecar",
    "image": os.environ.get("FLOW_IMAGE"),
    "command": ["sleep", "100000"],
}
WITH_SIDECAR = copy.deepcopy(SPEC)
WITH_SIDECAR["spec"]["template"]["spec"]["containers"].append(SIDECAR)
COMMON: dict[str, Any] = {
    "job_spec": SPEC,
    "image": os.environ.get("FLOW_IMAGE"),
    "flow": ["sh", "-c", SCRIPT],
    "env": {"WAITS": "{{ params.waits }}"},
    "kubernetes_conn_id": "{{ params.connection }}",
}
PARAMS = {"connection": "kubernetes_default", "waits": "yes"}
RETRIED: dict[str, Any] = {"retries": 5, "retry_delay": timedelta(0)}


class KilledAtItsEnd(FlowJobOperator):
    """Has its process asked to end in the moment in which its session has closed."""

    def execute(self, context: Context) -> Any:
        from flowjob.worker.session import WorkerSession

        close = WorkerSession.__exit__

        def close_and_kill(session: WorkerSession, *error: object) -> None:
            close(session, *error)
            self.log.info("Asked to end while the session closes")
            os.kill(os.getpid(), signal.SIGTERM)

        WorkerSession.__exit__ = close_and_kill  # type: ignore[method-assign]
        return super().execute(context)


def make_dags(suffix: str, default_args: dict[str, Any]) -> None:
    """Make the DAGs of one mode."""
    retried = default_args | RETRIED
    with DAG(f"exactly_one{suffix}", schedule=None, params=PARAMS, default_args=retried):
        FlowJobOperator(task_id="flow", **COMMON)

    with DAG(f"siblings{suffix}", schedule=None, params=PARAMS, default_args=retried):
        FlowJobOperator(task_id="flow", **COMMON)
        FlowJobOperator(task_id="sibling", **COMMON)

    with DAG(f"last_try{suffix}", schedule=None, params=PARAMS, default_args=default_args):
        FlowJobOperator(task_id="flow", **COMMON)

    with DAG(f"times_out{suffix}", schedule=None, params=PARAMS, default_args=default_args):
        FlowJobOperator(task_id="flow", execution_timeout=timedelta(seconds=12), **COMMON)

    with DAG(f"times_out_late{suffix}", schedule=None, params=PARAMS, default_args=default_args):
        FlowJobOperator(task_id="flow", execution_timeout=timedelta(seconds=25), **COMMON)

    with DAG(f"killed_at_its_end{suffix}", schedule=None, params=PARAMS, default_args=default_args):
        KilledAtItsEnd(task_id="flow", **COMMON)

    with DAG(
        f"run_times_out{suffix}",
        schedule=None,
        params=PARAMS,
        default_args=retried,
        dagrun_timeout=timedelta(seconds=20),
    ):
        FlowJobOperator(task_id="flow", **COMMON)

    with DAG(f"beside_sidecar{suffix}", schedule=None, params=PARAMS, default_args=retried):
        FlowJobOperator(task_id="flow", wait_for="flow", **COMMON | {"job_spec": WITH_SIDECAR})

    with DAG(
        f"second_try_times_out{suffix}",
        schedule=None,
        params=PARAMS,
        default_args=retried | {"retries": 1},
    ):
        FlowJobOperator(task_id="flow", execution_timeout=timedelta(seconds=20), **COMMON)

    with DAG(f"cleans_up{suffix}", schedule=None, params=PARAMS, default_args=retried):
        for on_finish in ("keep", "delete", "delete_succeeded"):
            FlowJobOperator(task_id=on_finish, on_finish=on_finish, **COMMON)

    with DAG(
        f"many_dates{suffix}",
        schedule="@daily",
        start_date=datetime(2026, 1, 1, tzinfo=UTC),
        catchup=False,
        params=PARAMS | {"waits": "no"},
        # As many as it takes: the test kills workers.
        default_args=retried | {"retries": 30},
    ):
        FlowJobOperator(task_id="flow", **COMMON)


make_dags("", {"deferrable": False})
make_dags("_deferrable", {"deferrable": True})

# These wait in the worker for as long as their tests take.
IN_WORKER: dict[str, Any] = {"deferrable": True, "defer_after": 600}
with DAG("waits_first_deferrable", schedule=None, params=PARAMS, default_args=IN_WORKER | RETRIED):
    FlowJobOperator(task_id="flow", **COMMON)

with DAG("times_out_first_deferrable", schedule=None, params=PARAMS, default_args=IN_WORKER):
    FlowJobOperator(task_id="flow", execution_timeout=timedelta(seconds=12), **COMMON)
