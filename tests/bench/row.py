"""The contract of a row of the bench: its name, what it needs, and how it is run."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.bench.result import RowResult
from tests.bench.stage import Stage


@dataclass(frozen=True)
class Size:
    """How much is measured.

    :param rounds: how often each contender runs what takes seconds.
    :param few_rounds: the same of what takes a lot of them.
    :param gap: seconds between the starts of flow runs of a minute, which run beside each other.
    :param days: runs of each backfill.
    :param waits: numbers of deferred waits, side by side.
    :param own_waits: the same of ours alone.
    """

    rounds: int
    few_rounds: int
    gap: float
    days: int
    waits: tuple[int, ...]
    own_waits: tuple[int, ...]
    is_quick: bool = False


FULL = Size(rounds=10, few_rounds=3, gap=6, days=100, waits=(100, 1000), own_waits=(5000, 20000))
QUICK = Size(rounds=1, few_rounds=1, gap=10, days=10, waits=(20,), own_waits=(200,), is_quick=True)


@dataclass(frozen=True)
class Row:
    """One row: a module of `tests.bench.rows` has one.

    :param name: by which `make bench ROWS=...` runs it alone.
    :param title: above its table.
    :param minutes: that it takes at most, of the hour that all have.
    :param run: measures it; on the stage where it needs an Airflow.
    """

    name: str
    title: str
    minutes: float
    run: Callable[[Size], RowResult] | None = None
    run_on_stage: Callable[[Stage, Size], RowResult] | None = None
