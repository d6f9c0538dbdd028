"""What a trigger hands on: nothing that Airflow cannot store, nothing that it should not show."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from airflow.triggers.base import TriggerEvent
from hypothesis import given
from hypothesis import strategies as st

from flowjob.exceptions import ResultError
from flowjob.logs.tails import Tails
from flowjob.status.observation import Observation
from flowjob.status.outcome import Outcome
from flowjob.status.result import parse_result
from flowjob.worker.trigger_event import EventPayload, outcome_of_event

JOB: dict[str, Any] = {"metadata": {"name": "sales-1", "namespace": "team", "uid": "u"}}
FAILED = Outcome("failed", "Error", "it said: s3cret", exit_code=3, termination_message="s3cret")
SUCCEEDED = Outcome("succeeded", exit_code=0, termination_message='"s3cret"')
STAYS = Observation(JOB, {"p": {"metadata": {"name": "p"}}})
GOES = Observation(JOB, {"p": {"metadata": {"name": "p", "deletionTimestamp": "now"}}})


def sent(payload: EventPayload) -> dict[str, Any]:
    """Return the payload as the worker gets it: through Airflow's own event and JSON."""
    event: Any = TriggerEvent(payload)  # type: ignore[no-untyped-call]
    received: dict[str, Any] = json.loads(event.model_dump_json())["payload"]
    return received


@pytest.mark.parametrize("outcome", [FAILED, SUCCEEDED], ids=["failed", "succeeded"])
def test_what_a_flow_said_does_not_travel_where_its_pod_can_be_read(outcome: Outcome) -> None:
    event = sent(EventPayload.ended(JOB, STAYS, outcome, Tails()))
    assert "s3cret" not in json.dumps(event)
    assert outcome_of_event(event, read_again=outcome) == outcome


@pytest.mark.parametrize("observation", [STAYS, GOES], ids=["pod stays", "pod goes"])
@pytest.mark.parametrize("outcome", [FAILED, SUCCEEDED], ids=["failed", "succeeded"])
def test_nothing_that_a_flow_said_shows_where_airflow_logs_the_event(
    observation: Observation, outcome: Outcome
) -> None:
    payload = EventPayload.ended(JOB, observation, outcome, Tails())
    event: Any = TriggerEvent(payload)  # type: ignore[no-untyped-call]
    assert repr(event) == f"TriggerEvent<<Job sales-1: {outcome.status}>>"


@pytest.mark.parametrize("outcome", [FAILED, SUCCEEDED], ids=["failed", "succeeded"])
def test_what_goes_with_its_pod_travels(outcome: Outcome) -> None:
    event = sent(EventPayload.ended(JOB, GOES, outcome, Tails(["last"], ["p"])))
    assert (event["last_lines"], event["taken_pods"]) == (["last"], ["p"])
    assert outcome_of_event(event, read_again=None) == outcome


def test_a_short_ttl_takes_the_pod_away_too() -> None:
    job = {**JOB, "spec": {"ttlSecondsAfterFinished": 5}}
    event = sent(EventPayload.ended(JOB, replace(STAYS, job=job), FAILED, Tails()))
    assert outcome_of_event(event, read_again=None) == FAILED


def test_words_that_went_with_a_pod_after_all_are_told_as_gone() -> None:
    event = sent(EventPayload.ended(JOB, STAYS, FAILED, Tails()))
    outcome = outcome_of_event(event, read_again=None)
    assert outcome is not None
    assert outcome.message == "Error: what its flow said of it is gone with its pod"


def test_why_a_flow_did_not_start_travels_as_nobody_can_read_it_again() -> None:
    outcome = Outcome("failed", "NotStarted", "no node has room", job_is_active=True)
    event = sent(EventPayload.ended(JOB, STAYS, outcome, Tails()))
    assert outcome_of_event(event, read_again=None) == outcome


def test_a_flow_run_that_goes_on_has_no_outcome() -> None:
    assert outcome_of_event(sent(EventPayload.going_on(JOB)), read_again=None) is None


@given(st.text(st.characters(exclude_categories=[]), max_size=50))
def test_no_result_can_take_the_triggerer_down(text: str) -> None:
    outcome = replace(SUCCEEDED, termination_message=text)
    event = sent(EventPayload.ended(JOB, GOES, outcome, Tails()))
    stored = json.dumps(event)
    # What Postgres refuses in a JSON column.
    assert "\\u0000" not in stored.replace("\\\\", "")
    received = outcome_of_event(event, read_again=None)
    assert received is not None
    if received.termination_message != text:
        with pytest.raises(ResultError, match="Airflow cannot store the character U"):
            parse_result(received)
