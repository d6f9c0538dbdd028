"""A flow that does nothing, or sleeps for a while, in each mode."""

from __future__ import annotations

import os
import time
from typing import Any

from airflow.sdk import DAG, Context

from flowjob.operators.flow_job import FlowJobOperator

CALLED, RESUMED, IMPORTED = "bench: called", "bench: resumed", "bench: imported"
# How each mode of the operator waits.
MODES: dict[str, dict[str, Any]] = {
    "worker": {"deferrable": False},
    "deferrable": {"deferrable": True},
    "at_once": {"deferrable": True, "defer_after": 0},
}


class Timed(FlowJobOperator):
    """Says when Airflow calls it and when all is imported, with its process's seconds of CPU."""

    def execute(self, context: Context) -> Any:
        self._tell(CALLED)
        return super().execute(context)

    def resume_execution(self, *arguments: Any, **named: Any) -> Any:
        self._tell(RESUMED)
        return super().resume_execution(*arguments, **named)

    def _enter(self, context: Context) -> Any:
        task_try = super()._enter(context)
        self._tell(IMPORTED)
        return task_try

    def _tell(self, moment: str) -> None:
        self.log.info("%s; %.3f", moment, time.process_time())


for mode, waiting in MODES.items():
    with DAG(f"noop_{mode}", schedule=None, params={"seconds": 0}):
        Timed(
            task_id="flow",
            job_spec_file="../../airflow/dags/specs/plain.yaml",
            image=os.environ.get("FLOW_IMAGE"),
            flow=["sh", "-c", "echo line; sleep {{ params.seconds }}"],
            **waiting,
        )
