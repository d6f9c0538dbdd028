"""A flow that writes as fast as it can: how fast its lines come into the task's log."""

from __future__ import annotations

from collections import defaultdict

from tests.bench.contenders import LINE, LINES, LOUD
from tests.bench.processes import used_by
from tests.bench.result import Measure, RowResult
from tests.bench.row import Row, Size
from tests.bench.stage import Stage

_MEGABYTE = 1e6


def run(stage: Stage, size: Size) -> RowResult:
    """Run all, one after the other."""
    rates: dict[str, list[float]] = defaultdict(list)
    megabytes: dict[str, list[float]] = defaultdict(list)
    cpu: dict[str, list[float]] = defaultdict(list)
    for number in range(size.few_rounds):
        turn = number % len(LOUD)
        for scene in (*LOUD[turn:], *LOUD[:turn]):
            with used_by(stage.sessions) as used:
                ended = stage.run(scene.dag_id)
            assert ended.state == "success", f"a run of {scene.dag_id} is {ended.state}"
            name = scene.contender.name
            rates[name].append(LINES / ended.task_seconds)
            megabytes[name].append(LINES * (len(LINE) + 1) / ended.task_seconds / _MEGABYTE)
            cpu[name].append(used.cpu)
    lines = ", ".join(
        f"{stage.task_log(scene.dag_id).count(LINE.encode()) / size.few_rounds:,.0f} of "
        f"`{scene.contender.name}`'s"
        for scene in LOUD
    )
    return RowResult(
        (
            Measure("log: lines a second of the task", "lines/s", _samples(rates), better="more"),
            Measure("log: megabytes a second", "MB/s", _samples(megabytes), better="more"),
            Measure("log: Airflow's CPU", "s of CPU", _samples(cpu)),
        ),
        (
            f"The flow writes {LINES:,} lines of {len(LINE) + 1} bytes, as fast as its node takes "
            "them; the rates are over all of the task's time, its start and end included. In the "
            f"task's log are {lines}.",
        ),
    )


def _samples(found: dict[str, list[float]]) -> dict[str, tuple[float, ...]]:
    return {name: tuple(values) for name, values in found.items()}


ROW = Row("logs", "A flow that writes a lot", minutes=3, run_on_stage=run)
