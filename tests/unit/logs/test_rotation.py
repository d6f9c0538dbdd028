"""A log that may have lost its beginning is told from one of a flow that was silent at first."""

from __future__ import annotations

import pytest

from flowjob.logs.rotation import lacks_beginning

STARTED = "2026-01-01T00:00:00Z"
MIB = 2**20


def at(seconds: int) -> str:
    return f"2026-01-01T00:{seconds // 60:02}:{seconds % 60:02}.123456789Z"


@pytest.mark.parametrize(
    ("first", "last", "size", "lacks"),
    [
        pytest.param(0, 6, 66 * MIB, False, id="a flood that is whole"),
        pytest.param(3, 6, 38 * MIB, True, id="a flood of which a half was rotated away"),
        pytest.param(20, 30, 11 * MIB, True, id="a log of 30 s of which the last 10 are there"),
        pytest.param(600, 630, 1000, False, id="a flow that was silent for ten minutes"),
        pytest.param(1, 3000, 9 * MIB, False, id="a log that never was too large"),
        pytest.param(0, 0, 200, False, id="one line"),
    ],
)
def test_a_log_may_lack_its_beginning_where_it_begins_late_and_goes_fast(
    first: int, last: int, size: int, lacks: bool
) -> None:
    assert lacks_beginning(STARTED, at(first), at(last), size) == lacks
