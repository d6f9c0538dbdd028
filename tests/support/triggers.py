"""Triggers of Jobs, without an Airflow that makes them."""

from __future__ import annotations

from typing import Any

from flowjob.flow_run import FLOW_RUN_ID_LABEL
from flowjob.triggers.flow_job import FlowJobTrigger


def trigger_of(
    job: dict[str, Any], conn_id: str = "test_cluster", **arguments: Any
) -> FlowJobTrigger:
    """Return the trigger that waits for a Job, of which its metadata suffices."""
    metadata = job["metadata"]
    task_instance = {"dag_id": "dag", "run_id": "run", "task_id": "task"}
    return FlowJobTrigger(
        kubernetes_conn_id=conn_id,
        namespace=metadata["namespace"],
        job_name=metadata["name"],
        job_uid=metadata["uid"],
        flow_run_id=metadata["labels"][FLOW_RUN_ID_LABEL],
        **(task_instance | arguments),
    )


async def only_event(trigger: FlowJobTrigger) -> dict[str, Any]:
    """Run a trigger to its end, and return the payload of the one event that it fires."""
    events = [event.payload async for event in trigger.run()]
    assert len(events) == 1
    payload: dict[str, Any] = events[0]
    return payload
