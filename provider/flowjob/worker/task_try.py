"""``TaskTry``: the one way in from Airflow, whatever it calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any

from flowjob.exceptions import FlowRunCancelledError
from flowjob.flow_run import flow_run_id_of
from flowjob.flows.base import FlowConnection
from flowjob.kubernetes_object import KubernetesObject
from flowjob.status.outcome import CANCELLED, Outcome
from flowjob.worker.arguments import TryArguments
from flowjob.worker.assets import tell_assets
from flowjob.worker.context import airflow_exception, flow_run_of, masked
from flowjob.worker.errors import WithoutFrames, errors_told
from flowjob.worker.finish import Success, finish
from flowjob.worker.remote import OwnRemoteRun
from flowjob.worker.session import WorkerSession
from flowjob.worker.waiting import Deferral, End, Waiting
from flowjob.worker.xcom import XComs

if TYPE_CHECKING:
    from airflow.sdk import Context


class TaskTry(WithoutFrames):
    """One try of a task in this worker, from one call of Airflow's to its end.

    Each entry has a cluster at hand, hears of kills and time-outs, and tells errors Airflow's way.

    :param context: Airflow's context of the task.
    :param log: the task's log.
    :param make_arguments: renders and loads what the operator asks for.
    :param connect: reads the Airflow connection that the flow asks for.
    """

    def __init__(
        self,
        context: Context,
        log: Any,
        make_arguments: Callable[[Context], TryArguments],
        connect: Callable[[str], FlowConnection],
    ) -> None:
        self._context = context
        self._log = log
        self._make_arguments = make_arguments
        # Each is a question to Airflow.
        self._connect = cache(connect)
        self._xcoms = XComs(context)
        self._session: WorkerSession | None = None
        self._is_to_end = False
        self._job: KubernetesObject | None = None
        self._api_server = ""

    @property
    def job_facts(self) -> dict[str, str]:
        """Which Job this try has run, once it knows; for who asks after it."""
        if self._job is None:
            return {}
        return {
            "namespace": self._job["metadata"]["namespace"],
            "job_name": self._job["metadata"]["name"],
            "flow_run_id": flow_run_id_of(self._job),
            "api_server": self._api_server,
        }

    def execute(self) -> Success | Deferral:
        """Launch the flow run and wait for its end.

        :raises AirflowFailException: it failed, and no retry can heal the cause.
        :raises FlowJobError: it failed.
        """
        return self._enter(lambda waiting: waiting.begin(self._connect))

    def complete(self, event: dict[str, Any], deadline: float | None) -> Success | Deferral:
        """Go on where the trigger ended; see ``Waiting.complete``, and ``execute`` for errors."""
        return self._enter(lambda waiting: waiting.complete(self._connect, event, deadline))

    def resume(self, failure: dict[str, Any]) -> Success | Deferral:
        """Go on where the trigger failed; see ``Waiting.resume``, and ``execute`` for errors."""
        return self._enter(lambda waiting: waiting.resume(self._connect, failure))

    def on_kill(self) -> None:
        """Delete the Job if the task was ended in Airflow; also from a signal handler."""
        self._is_to_end = True
        if self._session is not None:
            self._session.on_kill()

    def _enter(self, step: Callable[[Waiting], End | Deferral]) -> Success | Deferral:
        with errors_told(self._log):
            # First of all: the secrets in it are masked in every log line from here on.
            arguments = self._make_arguments(self._context)
            flow_run = flow_run_of(self._context)
            with WorkerSession(arguments.kubernetes_conn_id, flow_run) as session:
                try:
                    with self._cancellable(session):
                        end = step(Waiting(session, arguments, self._context, self._log))
                    self._job, self._api_server = end.job, session.cluster.address
                    if isinstance(end, Deferral):
                        return end
                    success = finish(session, arguments, self._xcoms, end, self._log)
                    tell_assets(self._context, end.job, success.result)
                    return success
                finally:
                    # A kill's signal may come while the session closes: its loop is gone then.
                    self._session = None

    @contextmanager
    def _cancellable(self, session: WorkerSession) -> Iterator[None]:
        """Hear of kills; delete the Job on a time-out; say in XCom that it was cancelled."""
        self._session = session
        try:
            if self._is_to_end:
                # It was too early for a session: the connection was just being loaded. The step
                # goes as far as to know whether there is a Job, which is deleted then.
                session.end()
            yield
        except FlowRunCancelledError as error:
            self._push_cancelled(session, "Killed", f"the task was ended in Airflow: {error}")
            raise
        except airflow_exception("AirflowTaskTimeout"):
            self._log.info("The task has timed out: deleting its Job")
            session.run(session.execution.kill())
            told = f"the task has timed out: {session.execution.end_of_kill}"
            self._log.error("%s", told)
            self._push_cancelled(session, "TaskTimeout", told)
            raise

    def _push_cancelled(self, session: WorkerSession, reason: str, message: str) -> None:
        self._xcoms.push_outcome(Outcome(CANCELLED, reason=reason, message=masked(message)))
        remote = session.execution.companion
        if isinstance(remote, OwnRemoteRun) and remote.run is not None:
            self._xcoms.push_remote_run(remote.run, remote.state)
