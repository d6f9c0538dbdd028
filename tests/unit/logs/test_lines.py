"""A line of a log, taken apart."""

from __future__ import annotations

from flowjob.logs.lines import split_line


def test_times_sort_as_text_however_many_digits_the_node_writes() -> None:
    lines = [b"2026-01-01T00:00:01Z a", b"2026-01-01T00:00:01.05Z b", b"2026-01-01T00:00:01.1Z c"]
    times = [split_line(line)[0] for line in lines]
    assert times == sorted(times)
    assert {len(time) for time in times} == {len("2026-01-01T00:00:01.000000000Z")}


def test_the_text_stays_as_it_is_also_where_it_is_no_unicode() -> None:
    assert split_line(b"2026-01-01T00:00:01.5+02:00  two  words ")[1] == " two  words "
    assert split_line(b"2026-01-01T00:00:01.5Z \xff")[1] == "\N{REPLACEMENT CHARACTER}"


def test_the_kubelets_own_word_has_no_time() -> None:
    assert split_line(b"unable to retrieve container logs") == (
        "",
        "unable to retrieve container logs",
    )
