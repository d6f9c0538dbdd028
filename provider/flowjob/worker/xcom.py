"""``XComs``: what a task tells Airflow of its flow run, and what it told in an earlier step."""

from __future__ import annotations

import logging
import time
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flowjob.flow_run import flow_run_id_of
from flowjob.kubernetes_object import KubernetesObject
from flowjob.remote_run import RemoteRun, RemoteState
from flowjob.status.outcome import Outcome
from flowjob.worker import run_links
from flowjob.worker.context import airflow_exception, flow_run_of, map_index_of

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)

# As soon as the Job exists.
FLOW_RUN_ID, JOB_NAME, NAMESPACE = "flow_run_id", "job_name", "namespace"
# At the end, on success and on failure; the flow's result is Airflow's own `return_value`.
STATUS, OUTCOME = "status", "outcome"
# What another system knows the flow run by, with its state there once it has ended.
REMOTE_RUN = "remote_run"
# Where people see it there: what Airflow's UI looks for behind the button of the task.
REMOTE_LINK = "_link_PrefectLink"
# How far the log was fetched, for the worker that fetches the rest.
LOG_POSITIONS = "log_positions"
# When the task times out (seconds since the epoch), for a worker that goes on after its trigger.
DEADLINE = "deadline"
# The flow run id of the try that goes on with an earlier one's Job, which it waits for deferred.
ADOPTED_BY = "adopted_by"
# What no result may take the place of, where Airflow makes an XCom of each of its keys.
OWN_KEYS = frozenset(
    {FLOW_RUN_ID, JOB_NAME, NAMESPACE, STATUS, OUTCOME, LOG_POSITIONS, DEADLINE, ADOPTED_BY}
    | {REMOTE_RUN, REMOTE_LINK, run_links.FLOW_RUNS_LINK, *run_links.SETTINGS, "return_value"}
)

# Seconds between pushes that met their own repetition.
_PAUSES = (1.0, 2.0, 4.0, 8.0)


class XComs:
    """The XComs of one task instance.

    :param context: Airflow's context of its task.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        self._ti = context["ti"]
        self._map_index = map_index_of(context)

    def push_job(self, job: KubernetesObject) -> None:
        """Say which Job it is as soon as it exists."""
        metadata = job["metadata"]
        self._push(FLOW_RUN_ID, flow_run_id_of(job))
        self._push(JOB_NAME, metadata["name"])
        self._push(NAMESPACE, metadata["namespace"])

    def push_outcome(self, outcome: Outcome) -> None:
        """Say how the flow run ended."""
        self._push(STATUS, outcome.status)
        self._push(OUTCOME, outcome.to_dict())

    def push_links(self, job: KubernetesObject, outcome: Outcome | None = None) -> None:
        """Say where the flow run is seen: once it has a Job, and again when more is known.

        What is wrong with a template is said the first time, and costs no more than its link.

        :param outcome: where the flow run is, or how it ended; None: it has just begun.
        """
        if outcome is None:
            self._push(
                run_links.FLOW_RUNS_LINK,
                run_links.page_of(flow_run_of(self._context).task_instance),
            )
        for name, template in run_links.templates().items():
            if outcome is not None and not run_links.is_known_later(template):
                continue
            try:
                self._push(name, run_links.link_of(template, run_links.facts_of(job, outcome)))
            except run_links.LinkTemplateError as error:
                setting = run_links.SETTINGS[name]
                log.warning("[flowjob] %s %s: its link is left out", setting, error)

    def push_remote_run(self, run: RemoteRun, state: RemoteState | None = None) -> None:
        """Say what another system knows the flow run by, and how it has ended there."""
        self._push(REMOTE_RUN, {**run.to_dict(), "state": state and state.name})
        if run.url is not None:
            self._push(REMOTE_LINK, run.url)

    def push_log_positions(self, positions: dict[str, str]) -> None:
        """Say how far the log was fetched."""
        self._push(LOG_POSITIONS, positions)

    def push_deadline(self, deadline: float) -> None:
        """Say when the task times out (seconds since the epoch)."""
        self._push(DEADLINE, deadline)

    def push_adopted_by(self, flow_run_id: str) -> None:
        """Say which try waits for an earlier one's Job."""
        self._push(ADOPTED_BY, flow_run_id)

    def pull(self, key: str) -> Any:
        """Return what an earlier step of this very task instance pushed, None: nothing."""
        # Without a map index, those of all the task's map indexes would come.
        return self._ti.xcom_pull(task_ids=self._ti.task_id, key=key, map_indexes=self._map_index)

    def _push(self, key: str, value: Any) -> None:
        for pause in (*_PAUSES, None):
            try:
                return self._ti.xcom_push(key=key, value=value)
            except airflow_exception("AirflowRuntimeError") as error:
                if pause is None or not _has_met_its_repetition(error):
                    raise
            time.sleep(pause)


def _has_met_its_repetition(error: Any) -> bool:
    """Tell whether two of one push came at once, of which the server takes one.

    Airflow's client asks again where the server took longer than ``[workers]
    execution_api_timeout``, and the server may be at work on the first still.
    """
    return (error.error.detail or {}).get("status_code") == HTTPStatus.CONFLICT
