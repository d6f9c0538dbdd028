"""The rows of the bench, a module each: what it measures, and the minutes that it takes at most."""

from __future__ import annotations

from tests.bench.row import Row
from tests.bench.rows import (
    backfill,
    failing,
    imports,
    logs,
    many_waits,
    minute,
    no_op,
    operators,
    waits,
)

# Those that need the Airflow first: it runs while they do, and not beside the others.
ROWS: tuple[Row, ...] = (
    no_op.ROW,
    minute.ROW,
    failing.ROW,
    logs.ROW,
    backfill.ROW,
    imports.ROW,
    operators.ROW,
    waits.ROW,
    many_waits.ROW,
)
