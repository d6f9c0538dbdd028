"""A flow's lines in the log of its task."""

from __future__ import annotations

import logging

import pytest

from flowjob.worker.flow_lines import show_line

LOG = logging.getLogger("task")
LINES = ["12 rows", "DEBUG looked it up", "WARNING: few rows", "[proxy] ERROR no such host"]


@pytest.mark.parametrize(
    ("shown", "levels"),
    [
        (logging.DEBUG, ["INFO", "DEBUG", "WARNING", "ERROR"]),
        # As is Airflow's default.
        (logging.INFO, ["INFO", "INFO", "WARNING", "ERROR"]),
    ],
)
def test_each_line_has_its_level_and_none_is_left_out(
    shown: int, levels: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(shown):
        for line in LINES:
            show_line(LOG, line)
    assert [record.levelname for record in caplog.records] == levels
    assert [record.message for record in caplog.records] == LINES
