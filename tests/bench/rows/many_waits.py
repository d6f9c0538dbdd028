"""Thousands of deferred waits of ours alone: what one triggerer bears."""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

from tests.bench.accounts import Accounts
from tests.bench.contenders import OURS
from tests.bench.result import Measure, RowResult
from tests.bench.row import Row, Size
from tests.bench.rows.waits import measures_of, notes_of
from tests.bench.waiting import Waiting
from tests.support.node.node import running_node

# A thousand of them end, a hundred a second.
_ENDS, _PER_SECOND = 1000, 100.0


def run(size: Size) -> RowResult:
    """Let them wait on a node that has nothing else to do."""
    measures: list[Measure] = []
    notes: list[str] = []
    with tempfile.TemporaryDirectory() as folder, running_node() as node:
        waiting = Waiting(node, Accounts(node, Path(folder)), OURS)
        for number, count in enumerate(size.own_waits):
            if number > 0:
                waiting.remove()
            ends = min(_ENDS, count - 1)
            waited = waiting.measure(count, ends, _PER_SECOND)
            measures += measures_of(count, {OURS.name: waited})
            if waited.lags:
                late = statistics.quantiles(waited.lags, n=20)[-1]
                name = f"{count:,} waits: within which 19 of 20 events came"
                measures.append(Measure(name, "s", {OURS.name: (late,)}))
            notes += notes_of(count, ends, {OURS.name: waited})
    notes.append(f"{_ENDS:,} of them end, {_PER_SECOND:.0f} a second.")
    return RowResult(tuple(measures), tuple(notes))


ROW = Row("many_waits", "Thousands of deferred waits", minutes=6, run=run)
