"""What the page shows of one flow run, from what Airflow has of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flowjob.flow_run import TaskInstanceKey
from flowjob.worker.run_links import KUBERNETES_LINK, LOGS_LINK
from flowjob.worker.xcom import JOB_NAME, NAMESPACE, OUTCOME, REMOTE_LINK, STATUS

RUNNING, UNKNOWN = "running", "unknown"
STATUSES = (RUNNING, "succeeded", "failed", "cancelled", UNKNOWN)
# States of a task instance whose flow run goes on for all that Airflow knows, if no XCom says how
# it ended; one that waits for a retry may have lost its worker, and its next try adopts the Job.
GOES_ON = ("running", "deferred", "queued", "scheduled", "restarting", "up_for_retry")
# What the buttons of a task lead to beside the page.
LINKS = {KUBERNETES_LINK: "Kubernetes", LOGS_LINK: "Logs", REMOTE_LINK: "Prefect"}


@dataclass(frozen=True)
class Listed:
    """A flow run as Airflow's database has it.

    :param key: whose it is.
    :param flow_run_id: its id.
    :param created_at: when Airflow was told of its Job.
    :param state: of the task instance, None: it has none.
    :param try_number: of the task instance.
    :param interval: beginning and end of the DAG run's data interval, where it has one.
    :param xcoms: further XComs of the task instance, as the database has them.
    """

    key: TaskInstanceKey
    flow_run_id: Any
    created_at: datetime
    state: str | None
    try_number: int
    interval: tuple[datetime | None, datetime | None]
    xcoms: Mapping[str, Any]


def shown(run: Listed) -> dict[str, Any]:
    """Return what the page is sent of a flow run: text, numbers and None alone."""
    xcoms = {key: value_of(value) for key, value in run.xcoms.items()}
    told = xcoms.get(OUTCOME)
    outcome: dict[str, Any] = told if isinstance(told, dict) else {}
    begin, end = run.interval
    return {
        "dag_id": run.key.dag_id,
        "run_id": run.key.run_id,
        "task_id": run.key.task_id,
        "map_index": run.key.map_index,
        "try_number": run.try_number,
        "state": run.state,
        "status": status_of(run.state, xcoms.get(STATUS)),
        "flow_run_id": _text(value_of(run.flow_run_id)),
        "job_name": _text(xcoms.get(JOB_NAME)),
        "namespace": _text(xcoms.get(NAMESPACE)),
        "interval_start": begin and begin.isoformat(),
        "interval_end": end and end.isoformat(),
        "started_at": _text(outcome.get("started_at")) or run.created_at.isoformat(),
        "finished_at": _text(outcome.get("finished_at")),
        **{name: _text(outcome.get(name)) for name in ("reason", "message", "pod", "node")},
        "exit_code": outcome.get("exit_code"),
        "links": {name: link for key, name in LINKS.items() if (link := _text(xcoms.get(key)))},
    }


def status_of(state: str | None, told: Any) -> str:
    """Return the status of a flow run.

    :param state: of its task instance.
    :param told: what its XCom says; None: nothing, as it goes on, or as Airflow ended its task or
        lost the worker before it could be said.
    """
    if told in STATUSES:
        return str(told)
    return RUNNING if state is None or state in GOES_ON else UNKNOWN


def value_of(stored: Any) -> Any:
    """Return the value of an XCom; Airflow's versions store text with and without its quotes."""
    if not isinstance(stored, str):
        return stored
    try:
        return json.loads(stored)
    except ValueError:
        return stored


def _text(value: Any) -> str | None:
    return None if value is None else str(value)
