"""A log that is read in pieces gives each line once."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

from flowjob.logs.cursor import LogCursor

# When whoever reads is in time.
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def line(second: int, nano: int, text: str, zone: str = "Z") -> bytes:
    return f"2026-01-01T00:00:{second:02}.{nano:09}{zone} {text}".encode()


def test_a_line_that_comes_again_after_a_reconnect_is_dropped() -> None:
    cursor = LogCursor()
    first = [line(1, 1, "a"), line(1, 2, "a"), line(2, 0, "")]
    assert [cursor.take(entry, NOW) for entry in first] == ["a", "a", ""]
    again = [*first, line(2, 1, "b")]
    cursor.begin()
    assert [cursor.take(entry, NOW) for entry in again] == [None, None, None, "b"]


def test_lines_that_were_written_at_once_may_have_one_time_as_with_cri_o() -> None:
    cursor = LogCursor()
    traceback = [line(1, 1, text) for text in ("Traceback:", "  File", "  File", "ValueError")]
    assert [cursor.take(entry, NOW) for entry in traceback] == [
        *("Traceback:", "  File", "  File", "ValueError")
    ]
    for seen in range(5):
        # A stream that broke off after so many of them is taken up again.
        cursor = LogCursor()
        for entry in traceback[:seen]:
            cursor.take(entry, NOW)
        cursor.begin()
        told = [text for entry in traceback if (text := cursor.take(entry, NOW)) is not None]
        assert told == ["Traceback:", "  File", "  File", "ValueError"][seen:]


def test_lines_of_two_streams_may_stand_out_of_order() -> None:
    cursor = LogCursor()
    entries = [line(1, 5, "out"), line(1, 3, "error"), line(2, 1, "out"), line(1, 9, "error")]
    assert [cursor.take(entry, NOW) for entry in entries] == ["out", "error", "out", "error"]


def test_reading_on_begins_a_little_before_the_latest_line() -> None:
    cursor = LogCursor()
    assert cursor.since is None
    cursor.take(line(9, 5, "a"), NOW)
    assert cursor.since == "2026-01-01T00:00:07+00:00"
    cursor.take(line(3, 5, "late"), NOW)
    assert cursor.since == "2026-01-01T00:00:07+00:00"


def test_the_nodes_own_time_zone_is_kept() -> None:
    cursor = LogCursor()
    assert cursor.take(line(9, 5, "a", "+02:00"), NOW) == "a"
    assert cursor.since == "2026-01-01T00:00:07+02:00"


def test_a_fragment_without_a_time_is_the_flows() -> None:
    assert (
        LogCursor().take(b"end of a line that was rotated", NOW) == "end of a line that was rotated"
    )


def test_memory_stays_bounded_and_the_last_seconds_are_remembered() -> None:
    cursor = LogCursor()
    entries = [line(second, nano, "x") for second in range(50) for nano in range(2000)]
    for entry in entries:
        assert cursor.take(entry, NOW) == "x"
    assert max(len(cursor._taken), len(cursor._came)) <= 10_000
    cursor.begin()
    # All that a reconnect can send again, from `since` on, is still known.
    assert [cursor.take(entry, NOW) for entry in entries[47 * 2000 :]] == [None] * 6000


def test_the_end_of_a_long_line_is_not_told_again_where_a_log_is_taken_up_in_its_middle() -> None:
    cursor = LogCursor()
    told = [line(1, 1, "a long line, written in seconds"), line(6, 1, "b")]
    assert [cursor.take(entry, NOW) for entry in told] == ["a long line, written in seconds", "b"]
    cursor.begin()
    again = [b"its middle", line(4, 1, "written in seconds"), line(6, 1, "b")]
    new = [line(6, 2, "c"), line(5, 9, "late"), line(7, 1, "d")]
    assert [cursor.take(entry, NOW) for entry in again] == [None] * 3
    assert [cursor.take(entry, NOW) for entry in new] == ["c", "late", "d"]


def test_what_follows_is_told_where_rotation_has_taken_the_last_line_that_was_told() -> None:
    cursor = LogCursor()
    cursor.take(line(6, 1, "b"), NOW)
    cursor.begin()
    assert cursor.lost_after is None
    assert [cursor.take(entry, NOW) for entry in (line(6, 2, "c"), b"d", line(6, 3, "e"))] == [
        *("c", "d", "e")
    ]
    assert cursor.lost_after == "2026-01-01T00:00:06.000000001Z"


def test_nothing_is_taken_for_lost_where_the_last_line_stood_far_out_of_order() -> None:
    cursor = LogCursor()
    told = [line(9, 5, "a"), line(3, 5, "late")]
    assert [cursor.take(entry, NOW) for entry in told] == ["a", "late"]
    cursor.begin()
    assert [cursor.take(entry, NOW) for entry in (line(9, 5, "a"), line(9, 6, "b"))] == [None, "b"]
    assert cursor.lost_after is None


def test_a_file_that_a_node_has_skipped_is_told_of_and_one_that_it_shows_twice_comes_once() -> None:
    cursor, late = LogCursor(), NOW + timedelta(seconds=60)
    skipped = [line(1, 1, "a"), line(15, 1, "b"), line(16, 1, "c")]
    assert [cursor.take(entry, late) for entry in skipped] == ["a", "b", "c"]
    assert cursor.lost_after == "2026-01-01T00:00:01.000000001Z"
    twice = [*skipped[1:], line(16, 2, "d")]
    assert [cursor.take(entry, late) for entry in twice] == [None, None, "d"]
    # Also within one second.
    again = [line(16, 1, "c"), line(16, 2, "d"), line(17, 1, "e")]
    assert [cursor.take(entry, late) for entry in again] == [None, None, "e"]


def test_a_flow_that_is_silent_for_a_while_has_lost_nothing() -> None:
    cursor = LogCursor()
    for second in (1, 31, 59):
        cursor.take(line(second, 1, "x"), NOW + timedelta(seconds=second + 1))
    assert cursor.lost_after is None


@pytest.mark.alone
def test_a_burst_of_lines_in_one_second_takes_time_in_proportion() -> None:
    def seconds(lines: int) -> float:
        cursor = LogCursor()
        entries = [line(1, nano, "x") for nano in range(lines)]
        start = time.perf_counter()
        for entry in entries:
            cursor.take(entry, NOW)
        return time.perf_counter() - start

    # Ten times the lines may take ten times as long, with much room for noise, not a hundred.
    assert seconds(200_000) < 50 * seconds(20_000)
