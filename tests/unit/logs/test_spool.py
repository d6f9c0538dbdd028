"""Lines that are taken as fast as they come, and handed on at another's pace."""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from collections.abc import Callable

import pytest

from flowjob.logs import spool
from flowjob.logs.spool import LineSpool

MANY = [f"line {number} of a flow that writes fast" for number in range(50_000)]


def until(may_go_on: threading.Event) -> Callable[[str], None]:
    """Return who shows nothing until it may."""

    def show(_: str) -> None:
        assert may_go_on.wait(20), "nobody read on"

    return show


def test_all_lines_are_handed_on_in_their_order() -> None:
    shown: list[str] = []

    async def hand_on() -> None:
        lines = LineSpool(shown.append)
        for line in MANY:
            lines.put(line)
        await lines.finish()
        await lines.close()

    asyncio.run(hand_on())
    assert shown == MANY


def test_lines_that_are_held_back_come_all_once_they_may() -> None:
    shown: list[str] = []

    async def hand_on() -> None:
        lines = LineSpool(shown.append, is_held=True)
        for line in MANY:
            lines.put(line)
        for _ in range(10):
            await asyncio.sleep(0)
        assert shown == []
        lines.let_go()
        await lines.finish()
        await lines.close()

    asyncio.run(hand_on())
    assert shown == MANY


def test_lines_that_are_held_back_for_another_are_not_said_to_be_lost(
    caplog: pytest.LogCaptureFixture,
) -> None:
    shown: list[str] = []

    async def hold_back() -> None:
        lines = LineSpool(shown.append, is_held=True)
        lines.put("another shows it")
        await asyncio.sleep(0)
        await lines.close()

    asyncio.run(hold_back())
    assert shown == []
    assert caplog.text == ""


def test_lines_of_any_characters_stay_as_they_are() -> None:
    shown: list[str] = []
    odd = ["", " ", "\x00\x1b[31m", "\r", "\u2028", "\ufffd", "\U0001f600" * 100_000, "%s {} \\"]

    async def hand_on() -> None:
        lines = LineSpool(shown.append)
        for line in odd:
            lines.put(line)
        await lines.finish()

    asyncio.run(hand_on())
    assert shown == odd


def test_who_reads_is_not_held_up_by_who_shows() -> None:
    may_go_on = threading.Event()

    async def hand_on() -> None:
        lines = LineSpool(until(may_go_on))
        for line in MANY:
            lines.put(line)
            await lines.room()
        assert lines.shown == 0
        may_go_on.set()
        await lines.finish()
        assert lines.shown == len(MANY)

    asyncio.run(hand_on())


def test_who_reads_waits_where_there_is_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "_ROOM", 2**20)
    may_go_on = threading.Event()
    # What no packing makes smaller.
    line = os.urandom(30_000).hex()

    async def hand_on() -> None:
        lines = LineSpool(until(may_go_on))
        put = 0
        while put < 1000:
            lines.put(line)
            put += 1
            try:
                await asyncio.wait_for(lines.room(), 0.1)
            except TimeoutError:
                break
        assert 15 < put < 100
        may_go_on.set()
        await lines.room()
        await lines.finish()
        assert lines.shown == put

    asyncio.run(hand_on())


def test_a_word_of_ours_stands_where_it_was_said(caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("shown")

    async def hand_on() -> None:
        lines = LineSpool(lambda line: log.warning("%s", line))
        lines.put("before")
        lines.tell(logging.WARNING, "some are missing")
        lines.put("after")
        await lines.finish()

    asyncio.run(hand_on())
    assert caplog.messages == ["before", "some are missing", "after"]


def test_a_task_that_ends_before_all_lines_are_shown_says_how_many_are_not(
    caplog: pytest.LogCaptureFixture,
) -> None:
    shown: list[str] = []
    is_shown, may_go_on = threading.Event(), threading.Event()

    def show(line: str) -> None:
        shown.append(line)
        is_shown.set()
        may_go_on.wait(20)

    async def hand_on() -> None:
        lines = LineSpool(show)
        for line in MANY:
            lines.put(line)
        await asyncio.to_thread(is_shown.wait, 20)
        closing = asyncio.create_task(lines.close())
        await asyncio.sleep(0)
        may_go_on.set()
        await closing

    asyncio.run(hand_on())
    assert shown == MANY[:1]
    assert "49999 more lines of the flow's log have come and are not shown" in caplog.text


def test_lines_that_cannot_be_shown_hold_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spool, "_ROOM", 1)

    def show(_: str) -> None:
        raise OSError("the log is closed")

    async def hand_on() -> None:
        lines = LineSpool(show)
        async with asyncio.timeout(20):
            for line in MANY:
                lines.put(line)
                await lines.room()
            with pytest.raises(OSError, match="the log is closed"):
                await lines.finish()

    asyncio.run(hand_on())
