"""What a task makes of an ended flow run: XCom, a result, or an error that tells the cause."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from flowjob.cluster.api_server import Cluster
from flowjob.exceptions import (
    ClusterError,
    FlowJobError,
    FlowRunEndedElsewhereError,
    FlowRunFailedError,
    ResultError,
)
from flowjob.flow_run import TaskInstanceKey, is_kept
from flowjob.kubernetes_object import KubernetesObject
from flowjob.logs.collect import last_lines
from flowjob.status.explanation import explain_failure
from flowjob.status.outcome import CANCELLED, SUCCEEDED, Outcome
from flowjob.status.result import parse_result
from flowjob.timeouts import COMMIT_LAG
from flowjob.worker.arguments import TryArguments
from flowjob.worker.context import airflow_exception, flow_run_of, masked
from flowjob.worker.loop_thread import LoopThread
from flowjob.worker.session import WorkerSession
from flowjob.worker.task_states import has_ended, task_states
from flowjob.worker.waiting import End
from flowjob.worker.xcom import NAMESPACE, OWN_KEYS, XComs

if TYPE_CHECKING:
    from airflow.sdk import Context

log = logging.getLogger(__name__)

# Seconds.
_QUESTION_INTERVAL = 0.2


@dataclass(frozen=True)
class Success:
    """What a task that succeeded hands to Airflow.

    :param result: the flow's own result.
    :param job_to_delete: the Job that is to be deleted once Airflow knows of the success: until
        then, a later try may have to adopt it. None: it stays.
    """

    result: Any
    job_to_delete: KubernetesObject | None


def finish(
    session: WorkerSession, arguments: TryArguments, xcoms: XComs, end: End, log: Any
) -> Success:
    """Push the outcome, take the result, and delete the Job where that is asked for.

    :raises FlowRunFailedError: the flow run failed, or was cancelled in Prefect.
    :raises AirflowSkipException: it did, with an exit code that skips the task.
    :raises ResultError: the flow's result is none.
    """
    job, outcome, on_finish = end.job, end.outcome, arguments.job.on_finish
    if job is not None:
        xcoms.push_links(job, outcome)
    try:
        result = _result(session, arguments, xcoms, outcome, log)
    except (FlowJobError, airflow_exception("AirflowSkipException")):
        # Nobody adopts the Job of a try that failed.
        if job and (outcome.job_is_active or not is_kept(on_finish, succeeded=False)):
            _delete(session, job, log)
        raise
    is_to_go = outcome.job_is_active or not is_kept(on_finish, succeeded=True)
    return Success(result, job if is_to_go else None)


def _delete(session: WorkerSession, job: KubernetesObject, log: Any) -> None:
    """Delete a Job; one that cannot be deleted does not hide why its flow failed."""
    try:
        session.run(session.cluster.delete_job(job))
    except ClusterError as error:
        log.error("The Job of the flow run goes on: %s", error)


def delete_job(kubernetes_conn_id: str, job: KubernetesObject, context: Context) -> None:
    """Delete the Job of a task that has succeeded, if Airflow knows of that.

    Airflow calls callbacks also where it refused to record the success: it had given the worker up,
    and the next try, which goes on by now, is to adopt the Job.

    :raises ClusterError: the cluster gave no usable answer.
    """
    if not _is_recorded(flow_run_of(context).task_instance):
        log.warning("Airflow has not recorded the success, so the Job is left to a later try")
        return
    with LoopThread() as loop, loop.use(Cluster(kubernetes_conn_id)) as cluster:
        loop.run(cluster.delete_job(job))


def _is_recorded(key: TaskInstanceKey) -> bool:
    """Ask whether the task instance has ended; no answer means that it has not."""
    deadline = time.monotonic() + COMMIT_LAG
    while True:
        try:
            if has_ended(key, task_states([key])):
                return True
        except Exception as error:
            log.warning("Airflow does not say what became of the task: %r", error)
            return False
        if time.monotonic() >= deadline:
            return False
        time.sleep(_QUESTION_INTERVAL)


def _result(
    session: WorkerSession, arguments: TryArguments, xcoms: XComs, outcome: Outcome, log: Any
) -> Any:
    if outcome.message:
        # It may be the flow's own text, such as that of its exception.
        facts = [masked(fact) for fact in outcome.facts]
        outcome = replace(outcome, message=masked(outcome.message), facts=facts)
    xcoms.push_outcome(outcome)
    if outcome.status != SUCCEEDED and outcome.exit_code in arguments.skip_on_exit_code:
        skipped = f"exit code {outcome.exit_code} of the flow container skips the task"
        raise airflow_exception("AirflowSkipException")(skipped)
    if outcome.status != SUCCEEDED:
        headline, facts = explain_failure(outcome)
        lines = _last_lines(session, arguments, xcoms, outcome, log)
        for line in (headline, *facts, *lines):
            log.error("%s", line)
        is_cancelled = outcome.status == CANCELLED
        error = FlowRunEndedElsewhereError if is_cancelled else FlowRunFailedError
        raise error(outcome.sentence)
    log.info("The flow run succeeded")
    if not arguments.wants_result:
        return None
    result = parse_result(outcome)
    if arguments.multiple_outputs and isinstance(result, dict):
        check_keys(result)
    return result


def check_keys(result: dict[str, Any]) -> None:
    """Check that a result whose keys become XComs leaves the task's own XComs alone.

    :raises ResultError: it has the key of one.
    """
    if taken := sorted(OWN_KEYS & result.keys()):
        raise ResultError(
            f"the flow succeeded, but its result has the key {taken[0]!r}, which is an XCom of "
            "the task's own: name it differently, or do without multiple_outputs"
        )


def _last_lines(
    session: WorkerSession, arguments: TryArguments, xcoms: XComs, outcome: Outcome, log: Any
) -> list[str]:
    """Read the last lines of the container that failed, if they are still there, with a heading."""
    if outcome.pod is None:
        return []
    container = outcome.container or arguments.spec.flow_container_name
    try:
        lines = session.run(
            last_lines(session.cluster, xcoms.pull(NAMESPACE), outcome.pod, container)
        )
    except ClusterError as error:
        log.warning("%s", error)
        return []
    return ["the last lines of its log:", *(f"  {masked(line)}" for line in lines)] if lines else []
