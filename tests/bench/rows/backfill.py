"""A backfill of hundreds of flows that do nothing: how long it takes as a whole."""

from __future__ import annotations

from tests.bench.contenders import DAYS, NOTHING_DAYS
from tests.bench.processes import used_by
from tests.bench.result import Measure, RowResult
from tests.bench.row import Row, Size
from tests.bench.stage import Stage

# Runs that go on beside each other; Airflow has as many slots.
AT_ONCE = 16


def run(stage: Stage, size: Size) -> RowResult:
    """Run one after the other: each has the whole machine."""
    seconds, cpu = {}, {}
    for scene in DAYS:
        with used_by(stage.sessions) as used:
            seconds[scene.contender.name] = (stage.backfill(scene.dag_id, size.days, AT_ONCE),)
        cpu[scene.contender.name] = (used.cpu / size.days,)
    floor = (stage.backfill(NOTHING_DAYS, size.days, AT_ONCE),)
    return RowResult(
        (
            Measure(f"backfill of {size.days} runs: makespan", "s", seconds, floor),
            Measure("backfill: Airflow's CPU a run", "s of CPU", cpu),
        ),
        (
            f"{AT_ONCE} runs at once, in worker mode. The floor is the same backfill of a task "
            "that does nothing: Airflow's part, without Kubernetes'.",
        ),
    )


ROW = Row("backfill", "A backfill", minutes=10, run_on_stage=run)
