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
    told = outcome.message or "the Job failed and does not say why"
    if state.kind in (remote_run.CANCELLED, remote_run.CANCELLING):
        facts = [] if succeeded else [told, *outcome.facts]
        both = _ended(outcome, state, "cancelled in Prefect by somebody", CANCELLED)
        return replace(both, facts=facts)
    if state.kind == remote_run.COMPLETED:
        if succeeded:
            return outcome
        return _with_fact(outcome, told, f"in Prefect, all the same, the flow run is {state}")
    if state.kind in (remote_run.FAILED, remote_run.CRASHED):
        if succeeded:
            return _ended(outcome, state, f"in Prefect the flow run is {state}")
        return _with_fact(outcome, told, f"in Prefect the flow run is {state}")
    if not succeeded:
        return outcome
    if state.kind == remote_run.PAUSED:
        message = f"its Job has ended, which nobody resumes, and in Prefect the flow run is {state}"
        remedy = "pause a flow without ending its process, or let Airflow wait between two tasks"
        return replace(_ended(outcome, state, message), remedy=remedy)
    message = f"its Job succeeded, but in Prefect the flow run is still {state}"
    remedy = "see in its log why it could not report its end"
    return replace(_ended(outcome, state, message), reason=_NOT_REPORTED, remedy=remedy)


def missing_end(outcome: Outcome, state: RemoteState) -> str | None:
    """Return how the flow run is to be ended in Prefect, as nothing is left that could report it.

    :returns: a word of ``flowjob.remote_run``; None: it has ended, or is to be resumed.
    """
    if state.kind == remote_run.CANCELLING:
        return remote_run.CANCELLED
    waits = state.kind == remote_run.PAUSED and outcome.status == SUCCEEDED
    return None if state.has_ended or waits else remote_run.CRASHED


def _with_fact(outcome: Outcome, message: str, fact: str) -> Outcome:
    return replace(outcome, message=message, facts=[*outcome.facts, fact])


def _ended(outcome: Outcome, state: RemoteState, message: str, status: str = FAILED) -> Outcome:
    return replace(
        outcome, status=status, reason=state.name, message=message, termination_message=""
    )
