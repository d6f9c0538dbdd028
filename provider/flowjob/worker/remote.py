"""``OwnRemoteRun``: the run that Prefect knows of this try's flow run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from flowjob.cluster.airflow_thread import in_thread
from flowjob.exceptions import FlowError, FlowJobError, FlowRunCancelledError, RemoteError
from flowjob.flow_run import REMOTE_RUN, annotation
from flowjob.flows import as_flow
from flowjob.flows.base import FlowConnection
from flowjob.kubernetes_object import KubernetesObject
from flowjob.launch.manifest import Manifests
from flowjob.prefect.runs import remote_runs
from flowjob.remote_run import CANCELLED, CRASHED, RemoteRun, RemoteRunRequest, RemoteState
from flowjob.status.agreement import agreed, missing_end
from flowjob.status.outcome import FAILED, SUCCEEDED, Outcome
from flowjob.timeouts import PATIENCE, REMOTE_KILL, REMOTE_REASON
from flowjob.worker.arguments import TryArguments
from flowjob.worker.context import masked
from flowjob.worker.session import WorkerSession

_KILLED = "The task was ended in Airflow, and its Kubernetes Job is deleted"


class OwnRemoteRun:
    """The run that Prefect knows of a flow run: begun, taken up from its Job, and ended.

    It accompanies the Job: it begins right before it, and is cancelled with a kill.

    :param request: what the flow asks for.
    :param connection: the Airflow connection that it names.
    :param log: the task's log.
    """

    def __init__(self, request: RemoteRunRequest, connection: FlowConnection, log: Any) -> None:
        self.run: RemoteRun | None = None
        # How it has ended there; None: that is not known.
        self.state: RemoteState | None = None
        # Makes the Job that names the run, and its Secret.
        self.make: Callable[[RemoteRun], Manifests] | None = None
        self._request = request
        self._runs = remote_runs(request.api, request.conn_id, connection)
        self._log = log

    async def begin(self, stop: asyncio.Event) -> tuple[KubernetesObject, KubernetesObject | None]:
        """Create the run, and return the Job that names it; see ``Companion.begin``."""
        assert self.make is not None  # noqa: S101 - who launches has set it
        self.run = await self._runs.begin(self._request, PATIENCE, stop)
        self._log.info("Prefect knows the flow run as %s", self.run.url or self.run.run_id)
        manifests = self.make(self.run)
        return manifests.job, manifests.secret

    def take(self, job: KubernetesObject | None, told: Callable[[], Any] = lambda: None) -> None:
        """Go on with the run of a Job that there is already.

        :param job: the Job; None: it is not known yet.
        :param told: returns what XCom tells of the run, where the Job does not.
        """
        found = (job and _run_of(job)) or RemoteRun.from_dict(told())
        # One of another kind of flow, from before the DAG was changed, is not known here.
        self.run = found if found and found.api == self._request.api else None

    async def end(self, job: KubernetesObject | None) -> None:
        """Cancel the run of a Job that is deleted; see ``Companion.end``."""
        run = (job and _run_of(job)) or self.run
        if run is None or run.api != self._request.api:
            return
        state = await self._end(run, CANCELLED, _KILLED)
        if run == self.run or self.run is None:
            self.state = state

    async def crash(self, error: FlowJobError) -> None:
        """Say that the run cannot be, as it has no Job."""
        if self.run is not None and not isinstance(error, FlowRunCancelledError):
            self.state = await self._end(self.run, CRASHED, masked(str(error)))

    async def agree(self, outcome: Outcome) -> Outcome:
        """Let the Job's end and the run's state decide together, and end what cannot report.

        :param outcome: of the Job.
        """
        if self.run is None:
            return outcome
        succeeded = outcome.status == SUCCEEDED
        limit = PATIENCE if succeeded else REMOTE_REASON
        try:
            self.state = await self._runs.state(self.run.run_id, limit)
            both = agreed(outcome, self.state)
            kind = missing_end(outcome, self.state)
            if kind is None:
                return both
            message = masked(both.sentence or "")
            self.state = await self._runs.end(self.run.run_id, kind, message, limit)
        except RemoteError as error:
            if not succeeded:
                self._log.warning("%s", error)
                return outcome
            told = f"its Job succeeded, but how the flow itself ended is not known: {error}"
            return Outcome(FAILED, reason="NotReported", message=told)
        # It may have ended by itself since it was asked for.
        is_ours = self.state.message == message
        return both if is_ours else agreed(outcome, self.state)

    async def _end(self, run: RemoteRun, kind: str, message: str) -> RemoteState | None:
        try:
            async with asyncio.timeout(REMOTE_KILL):
                state = await self._runs.end(run.run_id, kind, message, REMOTE_KILL)
        except (RemoteError, TimeoutError) as error:
            told = str(error) or f"its API gave no answer in {REMOTE_KILL} s"
            self._log.error("The flow run goes on in Prefect: %s", told)
            return None
        self._log.info("In Prefect, the flow run is %s", state.name)
        return state


def _run_of(job: KubernetesObject) -> RemoteRun | None:
    return RemoteRun.from_text(annotation(job, REMOTE_RUN))


async def cancel_remote_run(
    job: KubernetesObject, connect: Callable[[str], FlowConnection], log: Any
) -> None:
    """Cancel the run that Prefect knows of a Job which is deleted, where no worker waits for it.

    :param job: the Job, of which its metadata suffices.
    :param connect: reads the Airflow connection of a Prefect.
    :param log: is told how it stands then, or what went wrong.
    """
    run = _run_of(job)
    if run is None:
        return
    try:
        runs = remote_runs(run.api, run.conn_id, await in_thread(connect, run.conn_id))
        state = await runs.end(run.run_id, CANCELLED, _KILLED, PATIENCE)
    except Exception as error:
        # An Airflow connection that is gone, say: the Job is deleted all the same.
        log.error(
            "The flow run of the Job %s goes on in Prefect: %s", job["metadata"]["name"], error
        )
        return
    log.info("In Prefect, the flow run of the Job %s is %s", job["metadata"]["name"], state.name)


def own_remote_run(
    session: WorkerSession,
    arguments: TryArguments,
    connect: Callable[[str], FlowConnection],
    log: Any,
) -> OwnRemoteRun | None:
    """Return the run that Prefect is to know of this try's flow run; None: none is asked for.

    :param connect: reads the Airflow connection that the flow asks for.
    :raises FlowError: the flow does not say definitely which.
    """
    flow = as_flow(arguments.job.flow)
    request = flow.remote_run(session.flow_run.flow_run_id, arguments.job.parameters)
    if request is None:
        return None
    if arguments.spec.has_many_pods:
        raise FlowError(
            "the job spec has parallelism or completions, and a flow run that Prefect knows runs "
            "in one pod: leave them out"
        )
    remote = OwnRemoteRun(request, connect(request.conn_id), log)
    session.execution.companion = remote
    return remote
