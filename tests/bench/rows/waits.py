"""Deferred waits side by side, a hundred and a thousand: requests, CPU, memory, and how soon."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.bench.accounts import Accounts
from tests.bench.contenders import OPERATORS
from tests.bench.result import Measure, RowResult
from tests.bench.row import Row, Size
from tests.bench.waiting import Waited, Waiting
from tests.support.node.node import running_node

# Of ten that wait one ends; over so many seconds, as who polls looks every ten.
_ENDING = 10
_SECONDS = 10


def run(size: Size) -> RowResult:
    """Let each wait, one after the other, on a node that has nothing else to do."""
    measures: list[Measure] = []
    notes: list[str] = []
    with tempfile.TemporaryDirectory() as folder, running_node() as node:
        accounts = Accounts(node, Path(folder))
        waiting = {each.name: Waiting(node, accounts, each) for each in OPERATORS}
        for count in size.waits:
            ends = max(count // _ENDING, 5)
            waited = {}
            for name, each in waiting.items():
                waited[name] = each.measure(count, ends, ends / _SECONDS)
                each.remove()
            measures += measures_of(count, waited)
            notes += notes_of(count, ends, waited)
    return RowResult(tuple(measures), tuple(notes))


def measures_of(count: int, waited: Mapping[str, Waited]) -> list[Measure]:
    """Return what so many waits have cost each of the contenders."""

    def each(name: str, unit: str, value: str) -> Measure:
        samples = {who: (float(getattr(found, value)),) for who, found in waited.items()}
        return Measure(f"{count:,} waits: {name}", unit, samples)

    lags = {who: found.lags for who, found in waited.items() if found.lags}
    return [
        each("requests a minute", "requests", "requests_a_minute"),
        each("CPU of the triggerer", "of a core", "cpu"),
        each("own memory of the triggerer", "MiB", "memory"),
        each("memory that they add", "MiB", "memory_of_waits"),
        Measure(f"{count:,} waits: Complete to event", "s", lags),
    ]


def notes_of(count: int, ends: int, waited: Mapping[str, Waited]) -> list[str]:
    """Say whose events did not come."""
    return [
        f"{count:,} waits: of {ends} ends `{who}` has not heard of {found.unheard} in a minute."
        for who, found in waited.items()
        if found.unheard
    ]


ROW = Row("waits", "Deferred waits, side by side", minutes=7, run=run)
