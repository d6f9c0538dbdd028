"""What is kept of a run that another system knows."""

from __future__ import annotations

import pytest

from flowjob.remote_run import REST, RemoteRun, RemoteState

RUN = RemoteRun(REST, "prefect_default", "run-id", "https://prefect/run-id")


def test_a_later_try_finds_the_run_in_the_jobs_annotation() -> None:
    assert RemoteRun.from_text(RUN.to_text()) == RUN


@pytest.mark.parametrize(
    "text",
    [None, "", "{", "[]", "1", '{"api": "rest"}', '{"api": 1, "conn_id": "c", "id": "r"}'],
)
def test_an_annotation_of_somebody_elses_is_none(text: str | None) -> None:
    assert RemoteRun.from_text(text) is None


def test_a_state_is_told_with_what_its_system_says_of_it() -> None:
    assert str(RemoteState("failed", "TimedOut", "took\ntoo long")) == "TimedOut (took too long)"
    assert str(RemoteState("active", "Running")) == "Running"
