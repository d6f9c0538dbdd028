"""What becomes of an outcome where another system has a word in it: the Job's end and its state.

Pure: no Airflow, no Kubernetes client.
"""

from __future__ import annotations

from dataclasses import replace

from flowjob import remote_run
from flowjob.remote_run import RemoteState
from flowjob.status.outcome import CANCELLED, FAILED, SUCCEEDED, Outcome

_NOT_REPORTED = "NotReported"


def agreed(outcome: Outcome, state: RemoteState) -> Outcome:
    """Let a Job's end and the state in Prefect decide together; who disagrees is told.

    :param outcome: of the Job.
    :param state: of the flow run in Prefect, now that the Job has ended.
    """
    succeeded = outcome.status == SUCCEEDED
    told = outcome.message or "it does not say why"
    if state.kind in (remote_run.CANCELLED, remote_run.CANCELLING):
        also = "" if succeeded else f", and its Job failed: {told}"
        return _ended(outcome, state, f"somebody has done that in Prefect{also}", CANCELLED)
    if state.kind == remote_run.COMPLETED:
        if succeeded:
            return outcome
        message = f"in Prefect the flow run is {state}, but its Job failed: {told}"
        return replace(outcome, message=message)
    if state.kind in (remote_run.FAILED, remote_run.CRASHED):
        if succeeded:
            return _ended(outcome, state, f"in Prefect the flow run is {state}")
        return replace(outcome, message=f"{told}; in Prefect the flow run is {state}")
    if not succeeded:
        return outcome
    if state.kind == remote_run.PAUSED:
        return _ended(
            outcome,
            state,
            f"in Prefect the flow run is {state}, and its Job has ended, which nobody resumes: "
            "pause a flow without ending its process, or let Airflow wait between two tasks",
        )
    message = (
        f"its Job succeeded, but in Prefect the flow run is still {state}: see in its log why it "
        "could not report its end"
    )
    return replace(_ended(outcome, state, message), reason=_NOT_REPORTED)


def missing_end(outcome: Outcome, state: RemoteState) -> str | None:
    """Return how the flow run is to be ended in Prefect, as nothing is left that could report it.

    :returns: a word of ``flowjob.remote_run``; None: it has ended, or is to be resumed.
    """
    if state.kind == remote_run.CANCELLING:
        return remote_run.CANCELLED
    waits = state.kind == remote_run.PAUSED and outcome.status == SUCCEEDED
    return None if state.has_ended or waits else remote_run.CRASHED


def _ended(outcome: Outcome, state: RemoteState, message: str, status: str = FAILED) -> Outcome:
    return replace(
        outcome, status=status, reason=state.name, message=message, termination_message=""
    )
