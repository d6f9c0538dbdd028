"""A flow that ends with exit code 3: until the task has failed, and what its log has of that."""

from __future__ import annotations

from tests.bench.contenders import FAILING
from tests.bench.result import RowResult
from tests.bench.row import Row, Size
from tests.bench.rows.interleaved import Interleaved
from tests.bench.stage import Stage


def run(stage: Stage, size: Size) -> RowResult:
    """Run all, one after the other; in deferrable mode less often."""
    worker = [scene for scene in FAILING if not scene.deferrable]
    deferrable = [scene for scene in FAILING if scene.deferrable]
    in_worker = Interleaved(stage, worker, size.rounds, floor=True)
    deferred = Interleaved(stage, deferrable, size.few_rounds, floor=True)
    logs = tuple(
        f"`{scene.contender.name}`, {scene.mode}: "
        f"{_messages(stage.task_log(scene.dag_id), size.rounds)} in the task's log."
        for scene in worker
    )
    return RowResult(
        (
            in_worker.seconds("failing flow, worker: trigger to failed", worker),
            deferred.seconds("failing flow, deferrable: trigger to failed", deferrable),
            in_worker.requests("failing flow, worker: API requests", worker, None),
            deferred.requests("failing flow, deferrable: API requests", deferrable, None),
        ),
        (*in_worker.verbs(worker), *deferred.verbs(deferrable), *logs),
    )


def _messages(log: bytes, runs: int) -> str:
    count, kibibytes = log.count(b"\n") / runs, len(log) / runs / 1024
    return f"{count:.0f} messages, {kibibytes:.0f} KiB"


ROW = Row("failing", "A flow that fails", minutes=7, run_on_stage=run)
