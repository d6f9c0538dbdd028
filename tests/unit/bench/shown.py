"""Results as a run of the bench makes them, small."""

from __future__ import annotations

from tests.bench.contenders import JOB, OUR_FUNCTION, OURS, POD, POD_FUNCTION
from tests.bench.result import KeptRow, Measure, RowResult, Setting

SETTING = Setting("2026-01-31", "a machine of 2 cores", {"Airflow": "3.3.2"}, is_quick=False)


def seconds(ours: float, job: float, pod: float, *floor: float) -> Measure:
    samples = {OURS.name: (ours,), JOB.name: (job,), POD.name: (pod,)}
    return Measure("no-op: trigger to success", "s", samples, floor)


def function_seconds(ours: float, pod: float) -> dict[str, tuple[float, ...]]:
    return {OUR_FUNCTION.name: (ours,), POD_FUNCTION.name: (pod,)}


def kept(row: str, *measures: Measure, notes: tuple[str, ...] = ()) -> KeptRow:
    return KeptRow(row, SETTING, 90.0, RowResult(measures, notes))
