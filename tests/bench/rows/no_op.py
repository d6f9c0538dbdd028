"""A flow that does nothing, in both modes: what a flow run costs besides itself."""

from __future__ import annotations

from tests.bench.contenders import NO_OPS
from tests.bench.result import RowResult
from tests.bench.row import Row, Size
from tests.bench.rows.interleaved import Interleaved
from tests.bench.stage import Stage

# What a flow run is to ask for at most, whatever its length.
REQUESTS = 6


def run(stage: Stage, size: Size) -> RowResult:
    """Run all, one after the other."""
    runs = Interleaved(stage, NO_OPS, size.rounds, floor=True)
    worker = [scene for scene in NO_OPS if not scene.deferrable]
    deferrable = [scene for scene in NO_OPS if scene.deferrable]
    return RowResult(
        (
            runs.seconds("no-op, worker: trigger to success", worker),
            runs.seconds("no-op, deferrable: trigger to success", deferrable),
            runs.requests("no-op, worker: API requests", worker, REQUESTS),
            runs.requests("no-op, deferrable: API requests", deferrable, REQUESTS),
            runs.cpu("no-op, worker: Airflow's CPU", worker),
            runs.cpu("no-op, deferrable: Airflow's CPU", deferrable),
        ),
        runs.verbs(NO_OPS),
    )


ROW = Row("no_op", "A flow that does nothing", minutes=13, run_on_stage=run)
