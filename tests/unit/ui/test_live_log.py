"""What a live log holds on to: little, however fast the flow and slow the browser."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from flowjob.ui.line_buffer import LineBuffer


def test_lines_come_once_and_in_order() -> None:
    buffer = LineBuffer()
    for line in ("a", "", "b"):
        buffer.put(line)
    assert buffer.take() == ["a", "", "b"]
    assert buffer.take() == []
    buffer.put("c")
    assert buffer.take() == ["c"]


def test_a_browser_that_is_slow_gets_the_newest_lines_and_is_told_how_many_it_missed() -> None:
    buffer = LineBuffer()
    for number in range(1_000_000):
        buffer.put(f"line {number}")
    told, *lines = buffer.take()
    assert lines[-1] == "line 999999"
    assert told == f"({1_000_000 - len(lines)} lines are left out here)"
    assert len(lines) <= 5_000


def test_a_few_lines_without_end_fill_no_memory() -> None:
    buffer = LineBuffer()
    for _ in range(1000):
        buffer.put("x" * 256_000)
    assert sum(map(len, buffer.take())) <= 1_000_100


def test_no_line_is_lost_between_threads() -> None:
    buffer = LineBuffer()

    def put() -> None:
        for number in range(1000):
            buffer.put(str(number))

    with ThreadPoolExecutor(4) as threads:
        for _ in range(4):
            threads.submit(put)
    assert len(buffer.take()) == 4000
