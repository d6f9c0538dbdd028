"""A Job's end and a flow run's state in Prefect decide together."""

from __future__ import annotations

import pytest

from flowjob.remote_run import (
    ACTIVE,
    CANCELLED,
    CANCELLING,
    COMPLETED,
    CRASHED,
    FAILED,
    PAUSED,
    RemoteState,
)
from flowjob.status.agreement import agreed, missing_end
from flowjob.status.explanation import explain_failure
from flowjob.status.outcome import Outcome

DONE = Outcome("succeeded", exit_code=0, termination_message="[1]")
KILLED = Outcome("failed", reason="OOMKilled", message="out of memory", exit_code=137)


def state(kind: str, message: str | None = "says why") -> RemoteState:
    return RemoteState(kind, kind.title(), message)


def test_what_both_call_a_success_is_one_with_its_result() -> None:
    assert agreed(DONE, state(COMPLETED)) == DONE


@pytest.mark.parametrize("kind", [FAILED, CRASHED])
def test_a_flow_that_failed_fails_the_task_although_its_job_succeeded(kind: str) -> None:
    outcome = agreed(DONE, state(kind))
    assert (outcome.status, outcome.reason) == ("failed", kind.title())
    assert outcome.message == f"in Prefect the flow run is {kind.title()} (says why)"
    assert outcome.termination_message == ""
    assert outcome.exit_code == 0


def test_who_disagrees_is_told() -> None:
    assert agreed(KILLED, state(COMPLETED, None)).sentence == (
        "out of memory; in Prefect, all the same, the flow run is Completed"
    )
    silent = agreed(DONE, state(ACTIVE, None))
    assert (silent.status, silent.reason) == ("failed", "NotReported")
    assert silent.message == "its Job succeeded, but in Prefect the flow run is still Active"
    assert silent.remedy == "see in its log why it could not report its end"


def test_a_failure_is_told_in_the_words_of_both() -> None:
    outcome = agreed(KILLED, state(FAILED))
    assert outcome.sentence == "out of memory; in Prefect the flow run is Failed (says why)"
    assert (outcome.reason, outcome.exit_code) == ("OOMKilled", 137)


@pytest.mark.parametrize("kind", [CANCELLED, CANCELLING])
@pytest.mark.parametrize("outcome", [DONE, KILLED])
def test_what_is_cancelled_in_prefect_is_cancelled(kind: str, outcome: Outcome) -> None:
    both = agreed(outcome, state(kind))
    assert both.status == "cancelled"
    headline, facts = explain_failure(both)
    assert headline == "cancelled in Prefect by somebody"
    assert ("out of memory" in facts) == (outcome == KILLED)


def test_a_flow_run_that_waits_to_be_resumed_is_told_that_nobody_does() -> None:
    assert "which nobody resumes" in str(agreed(DONE, state(PAUSED)).message)


@pytest.mark.parametrize(
    ("outcome", "kind", "end"),
    [
        (DONE, COMPLETED, None),
        (KILLED, FAILED, None),
        (KILLED, CRASHED, None),
        (DONE, CANCELLED, None),
        (DONE, PAUSED, None),
        (KILLED, PAUSED, CRASHED),
        (KILLED, ACTIVE, CRASHED),
        (DONE, ACTIVE, CRASHED),
        (DONE, CANCELLING, CANCELLED),
        (KILLED, CANCELLING, CANCELLED),
    ],
)
def test_what_cannot_report_any_more_is_ended_in_prefect(
    outcome: Outcome, kind: str, end: str | None
) -> None:
    assert missing_end(outcome, state(kind)) == end
