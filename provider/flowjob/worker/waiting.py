"""``Waiting``: from the launch of a flow run, or from where a trigger left it, to its end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from flowjob.exceptions import ClusterError, FlowJobError, JobRefusedError
from flowjob.flow_run import FlowRun, flow_run_id_of
from flowjob.flows import as_flow
from flowjob.flows.base import FlowConnection
from flowjob.kubernetes_object import KubernetesObject
from flowjob.launch.manifest import make_manifests
from flowjob.logs.collect import collect_logs
from flowjob.status.job import is_active
from flowjob.status.outcome import FAILED, Outcome
from flowjob.wait.read_again import read_outcome
from flowjob.wait.until_end import wait_for_outcome
from flowjob.worker.arguments import TryArguments
from flowjob.worker.context import (
    airflow_exception,
    airflow_variables,
    seconds_since_start,
    shortest_deferral,
)
from flowjob.worker.flow_lines import show_line
from flowjob.worker.place_links import PlaceLinks
from flowjob.worker.remote import OwnRemoteRun, own_remote_run
from flowjob.worker.session import WorkerSession
from flowjob.worker.spec_check import check_spec
from flowjob.worker.trigger_event import outcome_of_event
from flowjob.worker.xcom import (
    ADOPTED_BY,
    DEADLINE,
    FLOW_RUN_ID,
    JOB_NAME,
    LOG_POSITIONS,
    NAMESPACE,
    REMOTE_RUN,
    XComs,
)

if TYPE_CHECKING:
    from airflow.sdk import Context

# What Airflow says in place of an error where a trigger has taken too long.
_TRIGGER_TIMEOUT = "Trigger timeout"


@dataclass(frozen=True)
class End:
    """How a flow run ended.

    :param job: its Job; None where it was gone before anything of it was seen.
    :param outcome: what became of it.
    """

    job: KubernetesObject | None
    outcome: Outcome


@dataclass(frozen=True)
class Deferral:
    """The triggerer is to wait for the flow run.

    :param job: its Job.
    :param flow_run: the flow run.
    :param deadline: when the task times out (seconds since the epoch), None: never.
    :param not_before: when the trigger may end at the earliest (seconds since the epoch).
    """

    job: KubernetesObject
    flow_run: FlowRun
    deadline: float | None
    not_before: float


class Waiting:
    """The steps of one try up to the end of its flow run.

    :param session: the cluster and the execution.
    :param arguments: what the operator asks for.
    :param context: Airflow's context of the task.
    :param log: the task's log.
    """

    def __init__(
        self, session: WorkerSession, arguments: TryArguments, context: Context, log: Any
    ) -> None:
        self._session = session
        self._arguments = arguments
        self._context = context
        self._xcoms = XComs(context)
        self._log = log
        self._show = partial(show_line, log)
        self._remote: OwnRemoteRun | None = None
        # A task that is resumed has begun long ago.
        self._start_up = 0.0

    def begin(self, connect: Callable[[str], FlowConnection]) -> End | Deferral:
        """Launch the flow run, and wait for it or defer.

        :param connect: reads the Airflow connection that the flow asks for.
        :raises FlowJobError: it cannot be launched or waited for.
        """
        self._start_up = seconds_since_start(self._context)
        check_spec(self._arguments, self._session.flow_run.task_instance.task_id, self._log)
        job = self._launch(connect)
        self._xcoms.push_job(job)
        self._xcoms.push_links(job)
        if self._remote is not None and self._remote.run is not None:
            self._xcoms.push_remote_run(self._remote.run)
        arguments = self._arguments
        if not (arguments.deferrable and is_active(job)):
            return self._end(job, self._wait(job))
        if (limit := arguments.defer_after) > 0 and (ended := self._until_over(job, None, limit)):
            return self._end(job, ended)
        return self._defer(job, arguments.deadline)

    def complete(
        self,
        connect: Callable[[str], FlowConnection],
        event: dict[str, Any],
        deadline: float | None,
    ) -> End | Deferral:
        """Go on where the trigger ended, with what it has fired.

        :param connect: see ``begin``.
        :param event: what the trigger fired.
        :param deadline: when the task times out (seconds since the epoch), None: never.
        """
        job: KubernetesObject | None = event.get("job")
        if job is None or not self._is_own(flow_run_id_of(job)):
            return self.begin(connect)
        _have_masked(self._arguments, connect)
        self._take_remote(connect, job)
        self._session.run(self._session.execution.take(job))
        outcome = outcome_of_event(event, self._read_again(job, event))
        for line in event.get("last_lines", ()):
            self._show(line)
        self._collect_log(job, is_over=outcome is not None, without=event.get("taken_pods", ()))
        return self._defer(job, deadline) if outcome is None else self._end(job, outcome)

    def resume(
        self, connect: Callable[[str], FlowConnection], failure: dict[str, Any]
    ) -> End | Deferral:
        """Go on where the trigger failed or timed out, with nothing but our own XCom.

        :param connect: see ``begin``.
        :param failure: what Airflow says of it.
        :raises AirflowTaskTimeout: it timed out.
        """
        if not self._is_own(self._xcoms.pull(FLOW_RUN_ID)):
            return self.begin(connect)
        _have_masked(self._arguments, connect)
        name, namespace = (self._xcoms.pull(key) for key in (JOB_NAME, NAMESPACE))
        self._take_remote(connect, None)
        job = self._session.run(self._session.execution.resume(namespace, name))
        if job is None:
            told = "the Job was deleted before it was seen to end"
            return self._end(None, Outcome(FAILED, "JobDeleted", told))
        if failure.get("error") == _TRIGGER_TIMEOUT:
            self._collect_log(job, is_over=True)
            raise airflow_exception("AirflowTaskTimeout")("the flow run took too long")
        self._log.warning("The trigger failed, so this worker waits by itself")
        return self._end(job, self._wait(job, self._xcoms.pull(DEADLINE)))

    def _read_again(self, job: KubernetesObject, event: dict[str, Any]) -> Outcome | None:
        """Read in the cluster what the trigger did not send."""
        if event.get("is_whole", True):
            return None
        session = self._session
        try:
            exit_codes = self._arguments.skip_on_exit_code
            outcome = session.run(read_outcome(session.cluster, job, exit_codes))
        except ClusterError as error:
            self._log.warning("%s", error)
            return None
        if outcome is None:
            self._log.warning("The Job is gone, and with it the flow's result and its error")
        return outcome

    def _is_own(self, flow_run_id: str | None) -> bool:
        """Tell whether what a try resumes with is its own, or was adopted by it.

        A task that is cleared while it resumes hands it on to the try after the clear.
        """
        own = self._session.flow_run.flow_run_id
        if flow_run_id == own or self._xcoms.pull(ADOPTED_BY) == own:
            return True
        self._log.info("What this try was resumed with is an earlier one's: it begins anew")
        return False

    def _launch(self, connect: Callable[[str], FlowConnection]) -> KubernetesObject:
        session, spec, job = self._session, self._arguments.spec, self._arguments.job
        if job.flow is None and spec.has_command:
            self._log.info(
                "No flow is given, so Prefect's command replaces that of the job spec: "
                "set flow=SpecFlow() to run the spec's own"
            )
        conn_id = as_flow(job.flow).conn_id
        make = partial(
            make_manifests,
            session.flow_run,
            spec,
            job,
            airflow_variables=airflow_variables(self._context),
            cluster_namespace=session.cluster.namespace,
            connection=connect(conn_id) if conn_id else None,
        )
        remote = self._remote = own_remote_run(session, self._arguments, connect, self._log)
        if remote is not None:
            remote.make = lambda run: make(remote_run=run)
        manifests = make()
        try:
            launched = session.run(
                session.execution.launch(
                    session.flow_run,
                    manifests.job,
                    self._arguments.startup_timeout,
                    secret=manifests.secret,
                )
            )
        except FlowJobError as error:
            if remote is not None:
                session.run(remote.crash(error))
            raise spec.locate(error) if isinstance(error, JobRefusedError) else error from None
        if remote is not None:
            remote.take(launched)
        return launched

    def _take_remote(
        self, connect: Callable[[str], FlowConnection], job: KubernetesObject | None
    ) -> None:
        """Take up the run that another system knows, of which the Job or our XCom tells."""
        self._remote = own_remote_run(self._session, self._arguments, connect, self._log)
        if self._remote is not None:
            self._remote.take(job, lambda: self._xcoms.pull(REMOTE_RUN))

    def _end(self, job: KubernetesObject | None, outcome: Outcome) -> End:
        """End with the Job's outcome, in which another system may have a word."""
        session, remote = self._session, self._remote
        if remote is None or remote.run is None:
            return End(job, outcome)
        both = session.run(session.execution.wait(remote.agree(outcome)))
        self._xcoms.push_remote_run(remote.run, remote.state)
        return End(job, both)

    def _defer(self, job: KubernetesObject, deadline: float | None) -> Deferral:
        if deadline is not None:
            self._xcoms.push_deadline(deadline)
        own = self._session.flow_run.flow_run_id
        if flow_run_id_of(job) != own:
            self._xcoms.push_adopted_by(own)
        # Airflow tells nobody of a task that is ended in the moment before it defers.
        self._session.raise_if_ended()
        not_before = time.time() + shortest_deferral(self._start_up)
        return Deferral(job, self._session.flow_run, deadline, not_before)

    def _wait(self, job: KubernetesObject, deadline: float | None = None) -> Outcome:
        """Wait in this worker.

        :param deadline: when the task times out (seconds since the epoch), as was said before it
            deferred; None: Airflow sees to it.
        :raises AirflowTaskTimeout: it does.
        """
        limit = None if deadline is None else max(deadline - time.time(), 0)
        if (outcome := self._until_over(job, limit)) is None:
            raise airflow_exception("AirflowTaskTimeout")("the flow run took too long")
        return outcome

    def _until_over(
        self, job: KubernetesObject, limit: float | None, before_deferral: float | None = None
    ) -> Outcome | None:
        """Wait until the flow run is over, and show its log; None: it goes on.

        :param limit: seconds that all of it may take; None: any number.
        :param before_deferral: the ``limit`` of ``wait_for_outcome``; None (default): none.
        """
        arguments, session, links = self._arguments, self._session, PlaceLinks(self._xcoms, job)
        waiting = wait_for_outcome(
            session.cluster,
            job,
            self._show,
            arguments.log_selection,
            startup_timeout=arguments.startup_timeout,
            wait_for=arguments.wait_for,
            exit_codes=arguments.skip_on_exit_code,
            on_change=links.see,
            limit=before_deferral,
        )
        outcome = None
        with suppress(TimeoutError):
            outcome = session.run(asyncio.wait_for(session.execution.wait(waiting), limit))
        # A kill, or a time-out of Airflow's, does not wait for them.
        session.run(links.close())
        return outcome

    def _collect_log(
        self, job: KubernetesObject, *, is_over: bool, without: Collection[str] = ()
    ) -> None:
        """Fetch what the flow wrote since the last time; a log that is gone costs its lines."""
        session = self._session
        positions = self._xcoms.pull(LOG_POSITIONS) or {}
        try:
            positions = session.run(
                collect_logs(
                    session.cluster,
                    job,
                    self._arguments.log_selection,
                    self._show,
                    positions,
                    is_over=is_over,
                    without=without,
                )
            )
        except ClusterError as error:
            self._log.warning("%s", error)
        if not is_over:
            self._xcoms.push_log_positions(positions)


def _have_masked(arguments: TryArguments, connect: Callable[[str], FlowConnection]) -> None:
    """Have Airflow mask what is secret of the flow's connection, in a process that is new.

    Airflow masks what was asked for, and the flow may have printed it.
    """
    if conn_id := as_flow(arguments.job.flow).conn_id:
        # The flow run needs it no more, so it may be gone.
        with suppress(Exception):
            connect(conn_id)
