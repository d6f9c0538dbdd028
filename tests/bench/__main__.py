"""`make bench`: what a flow run costs, side by side with what Airflow's Kubernetes provider has.

Runs all rows, or those named, and prints their tables and the ratios, which are the result. Each
row is kept as JSON as soon as it is measured. A run of all rows, or `--write`, makes the tables and
the plot of the documentation of what is kept.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
import traceback
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from tests.bench import tables
from tests.bench.goals import misses
from tests.bench.keeping import Kept, NotKeptError
from tests.bench.machine import setting
from tests.bench.result import KeptRow, RowResult, Setting
from tests.bench.row import FULL, QUICK, Row, Size
from tests.bench.rows import ROWS
from tests.bench.stage import Stage, running_stage
from tests.support.node.node import build
from tests.support.node.progress import say, step

CHECKOUT = Path(__file__).parents[2]


def main() -> int:
    """Measure; return 0, or 1 where a row could not be measured."""
    names = [row.name for row in ROWS]
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join(names)}")
    parser.add_argument("--quick", action="store_true", help="a trial: one sample of each")
    parser.add_argument("--days", type=int, help=f"runs of each backfill (default: {FULL.days})")
    parser.add_argument("--write", action="store_true", help="write the documentation's tables")
    parser.add_argument("--kept", type=Path, default=CHECKOUT / ".flowjob" / "bench")
    parser.add_argument("--docs", type=Path, default=CHECKOUT / "docs" / "bench")
    arguments = parser.parse_args()
    if unknown := set(arguments.rows) - set(names):
        parser.error(f"there is no row {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    # Who ends it politely is answered as if by Ctrl-C: with everything cleaned up.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    kept = Kept(arguments.kept, ROWS)
    failed: list[str] = []
    if not (arguments.write and not arguments.rows):
        rows = [row for row in ROWS if row.name in (arguments.rows or names)]
        size = QUICK if arguments.quick else FULL
        failed = measure(rows, replace(size, days=arguments.days or size.days), kept)
    if arguments.write or not (arguments.rows or arguments.quick or failed):
        try:
            kept.write(arguments.docs)
        except NotKeptError as error:
            print(error, file=sys.stderr)
            return 1
    return 1 if failed else 0


def measure(rows: Sequence[Row], size: Size, kept: Kept) -> list[str]:
    """Measure the rows, keep and print them; return the names of those that failed."""
    build()
    where = setting(is_quick=size.is_quick)
    say(f"At most {sum(row.minutes for row in rows):g} minutes.")
    failed = []
    on_stage = [row for row in rows if row.run_on_stage]
    with ExitStack() as ending:
        stage = ending.enter_context(running_stage()) if on_stage else None
        for row in on_stage:
            failed += _measure(row, size, where, kept, stage)
    for row in rows:
        if row.run:
            failed += _measure(row, size, where, kept, None)
    return failed


def _measure(row: Row, size: Size, where: Setting, kept: Kept, stage: Stage | None) -> list[str]:
    began = time.monotonic()
    try:
        with step(f"{row.name} (at most {row.minutes:g} minutes)"):
            result = _run(row, size, stage)
    except Exception:
        # The other rows are worth their minutes all the same.
        traceback.print_exc()
        return [row.name]
    kept.keep(KeptRow(row.name, where, time.monotonic() - began, result))
    print(f"## {row.title}\n\n{tables.table(result)}\n\n{tables.ratios(result.measures)}\n")
    for miss in misses(result.measures):
        print(f"- {miss}.")
    print(flush=True)
    return []


def _run(row: Row, size: Size, stage: Stage | None) -> RowResult:
    if row.run:
        return row.run(size)
    assert row.run_on_stage is not None
    assert stage is not None
    return row.run_on_stage(stage, size)


if __name__ == "__main__":
    sys.exit(main())
