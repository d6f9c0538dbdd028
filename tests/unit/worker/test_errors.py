"""How a task's errors stand in its log, and what Airflow is told of them."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable

import pytest
from airflow.sdk.exceptions import AirflowFailException

from flowjob.exceptions import ClusterError, FlowError, FlowJobError, FlowRunFailedError
from flowjob.worker.errors import WithoutFrames, errors_told

LOG = logging.getLogger("task")


def fails(error: Exception, depth: int = 5) -> None:
    if depth:
        fails(error, depth - 1)
    raise error


def execute(step: Callable[[], None]) -> None:
    """As an operator does."""
    with WithoutFrames(), errors_told(LOG):
        step()


def frames_of(error: BaseException) -> list[str]:
    return [frame.name for frame in traceback.extract_tb(error.__traceback__)]


@pytest.mark.parametrize("error", [FlowRunFailedError("out of memory"), ClusterError("no answer")])
def test_a_flow_that_failed_is_shown_without_our_way_to_it(error: FlowJobError) -> None:
    with pytest.raises(type(error)) as raised:
        execute(lambda: fails(error))
    assert len(frames_of(raised.value)) == 1
    assert "\n".join(traceback.format_exception(raised.value)).count("Error") == 1


def test_so_is_what_no_retry_can_heal() -> None:
    with pytest.raises(AirflowFailException, match=r"^no such flow$") as raised:
        execute(lambda: fails(FlowError("no such flow")))
    assert len(frames_of(raised.value)) == 1
    assert "exceptions.FlowError" not in "\n".join(traceback.format_exception(raised.value))


def test_where_an_error_was_raised_is_in_the_log_of_who_debugs(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.DEBUG), pytest.raises(ClusterError):
        execute(lambda: fails(ClusterError("no answer")))
    assert caplog.text.count("in fails") >= 4


def test_an_error_that_is_none_of_ours_keeps_its_frames() -> None:
    with pytest.raises(ZeroDivisionError) as raised:
        execute(lambda: fails(ZeroDivisionError()))
    assert frames_of(raised.value)[-6:] == ["fails"] * 6


@pytest.mark.parametrize(
    ("error", "lines"),
    [
        (ClusterError("no answer"), ["no answer"]),
        (FlowError("no such flow"), ["no such flow"]),
        # Told already, fact by fact.
        (FlowRunFailedError("out of memory"), []),
    ],
)
def test_an_error_is_a_line_of_its_own_ahead_of_what_airflow_says(
    error: FlowJobError, lines: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises((FlowJobError, AirflowFailException)):
        execute(lambda: fails(error))
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("ERROR", line) for line in lines
    ]
