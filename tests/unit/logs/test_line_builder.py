"""What a flow writes between two line breaks, in whatever pieces it comes, becomes one line."""

from __future__ import annotations

import random

import pytest

from flowjob.logs.line_builder import LONGEST_LINE, LineBuilder

STAMP = b"2026-01-01T00:00:01.000000001Z "


def built(*pieces: bytes) -> bytes:
    builder = LineBuilder()
    for piece in pieces:
        builder.add(piece)
    return builder.line


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        (b"plain", b"plain"),
        (b"", b""),
        (b"of a terminal\r", b"of a terminal"),
        (b"a\rtext with one or two\rof them", b"a\rtext with one or two\rof them"),
        (b"\r  0%\r 50%\r100%", b"100%"),
        (b"  0%\r 50%\r 75%\r100%\r", b"100%"),
        (b"  0%\r 25%\r 40%\r 50%\r\r\r", b" 50%"),
        (b"\r", b""),
    ],
)
def test_what_a_terminal_shows_in_the_end_is_the_line(written: bytes, shown: bytes) -> None:
    chance = random.Random(7)
    text = STAMP + written
    assert built(text) == STAMP + shown
    for _ in range(50):
        cuts = sorted(chance.choices(range(len(text) + 1), k=3))
        pieces = [text[a:b] for a, b in zip([0, *cuts], [*cuts, len(text)], strict=True)]
        assert built(*pieces) == STAMP + shown, pieces


def test_the_last_whole_state_of_a_progress_bar_is_known_before_it_is_done() -> None:
    builder = LineBuilder()
    for piece in (STAMP, b"\r  0%\r 25%", b"\r 50%\r10"):
        builder.add(piece)
    assert builder.state == STAMP + b" 50%"
    assert LineBuilder().state == b""


def test_a_line_without_an_end_is_cut_with_a_word_about_it_and_costs_no_memory() -> None:
    builder = LineBuilder()
    builder.add(STAMP)
    for _ in range(1024):
        builder.add(b"x" * 64 * 1024)
    cut = len(STAMP) + 64 * 2**20 - LONGEST_LINE
    assert builder.line.startswith(STAMP + b"xxx")
    assert builder.line.endswith(b"x [%d more bytes of this line are cut]" % cut)
    assert len(builder._text) == LONGEST_LINE


def test_a_progress_bar_of_hours_costs_no_memory() -> None:
    builder = LineBuilder()
    for number in range(100_000):
        builder.add(b"\r%d" % number)
    assert builder.line == b"99999"
    assert len(builder._text) < 100
