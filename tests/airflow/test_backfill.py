"""A backfill of two weeks, four days at once: each flow sees its own day, exactly once."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.airflow.instance import AirflowInstance

pytestmark = pytest.mark.usefixtures("own_node")

DAG_ID = "fortnight"
FIRST = datetime(2026, 3, 1, tzinfo=UTC)
DAYS = [(FIRST + timedelta(days=number)) for number in range(14)]
FAILING = ("2026-03-03", "2026-03-09")
AT_ONCE = 4


class Backfills:
    """Backfills of the two weeks in one Airflow, and what their flows have left."""

    def __init__(self, airflow: AirflowInstance, effects: Path) -> None:
        self._airflow = airflow
        self._lines = effects / "lines"
        self._before = len(self._lines.read_text().splitlines())
        self.most_at_once = 0
        airflow.client.wait_for_dag(DAG_ID)
        airflow.client.request("PATCH", f"dags/{DAG_ID}", json={"is_paused": False})

    def run(self, *options: str) -> list[dict[str, Any]]:
        """Run one, and return its DAG runs in the order in which they began."""
        self._airflow.cli(
            *("backfill", "create", "--dag-id", DAG_ID, "--max-active-runs", str(AT_ONCE)),
            *("--from-date", f"{DAYS[0]:%Y-%m-%d}", "--to-date", f"{DAYS[-1]:%Y-%m-%d}"),
            *options,
        )
        runs = self._airflow.client.wait_for(
            self._all_ended, "the runs of two weeks to end", 300, self._seen
        )
        return sorted(runs, key=lambda run: str(run["start_date"]))

    def _seen(self) -> str:
        runs = self._airflow.client.dag_runs(DAG_ID)
        return "\n".join(f"{run['dag_run_id']}: {run['state']}" for run in runs)

    def _all_ended(self) -> list[dict[str, Any]] | None:
        backfills = self._airflow.client.request("GET", "backfills", params={"dag_id": DAG_ID})
        runs = self._airflow.client.dag_runs(DAG_ID)
        running = [run for run in runs if run["state"] == "running"]
        self.most_at_once = max(self.most_at_once, len(running))
        is_over = all(backfill["completed_at"] for backfill in backfills["backfills"])
        ended = all(run["state"] in ("success", "failed") for run in runs)
        return runs if is_over and ended and len(runs) == len(DAYS) else None

    def flow_run_ids(self, runs: list[dict[str, Any]]) -> dict[str, str]:
        """Return the flow run id in XCom by day, and see each flow's own day there, too."""
        found = {}
        for run in runs:
            xcoms = self._airflow.client.xcoms(DAG_ID, run["dag_run_id"], "flow")
            if run["state"] == "success":
                start = datetime.fromisoformat(run["data_interval_start"])
                assert datetime.fromisoformat(xcoms["return_value"]) == start
            found[run["logical_date"][:10]] = xcoms["flow_run_id"]
        return found

    def effects(self) -> list[tuple[str, str, str, str]]:
        """Return what the flows have left: DAG, both ends of the data interval, flow run id."""
        lines = self._lines.read_text().splitlines()[self._before :]
        found = [line.split() for line in lines]
        return [(a, b, c, d) for a, b, c, d in (words for words in found if len(words) == 4)]


def intervals(days: list[datetime]) -> Counter[tuple[str, str]]:
    return Counter((day.isoformat(), (day + timedelta(days=1)).isoformat()) for day in days)


def test_a_backfill_runs_each_day_once_and_of_those_that_failed_one_more_time(
    airflow: AirflowInstance, effects: Path
) -> None:
    backfills = Backfills(airflow, effects)
    variable = {"key": "failing_days", "value": " ".join(FAILING)}
    airflow.client.request("POST", "variables", json=variable)
    runs = backfills.run()
    airflow.client.request("DELETE", "variables/failing_days")
    failed = {run["logical_date"][:10] for run in runs if run["state"] == "failed"}
    assert failed == set(FAILING)
    first = backfills.flow_run_ids(runs)
    assert len(set(first.values())) == len(DAYS)
    seen = backfills.effects()
    assert Counter((start, end) for _, start, end, _ in seen) == intervals(DAYS)
    assert {flow_run_id for *_, flow_run_id in seen} == set(first.values())
    assert backfills.most_at_once == AT_ONCE

    runs = backfills.run("--reprocess-behavior", "failed")
    assert {run["state"] for run in runs} == {"success"}
    second = backfills.flow_run_ids(runs)
    assert len(set(second.values())) == len(DAYS)
    assert {day for day in second if second[day] != first[day]} == set(FAILING)
    again = backfills.effects()[len(seen) :]
    repeated = [day for day in DAYS if f"{day:%Y-%m-%d}" in FAILING]
    assert Counter((start, end) for _, start, end, _ in again) == intervals(repeated)


def test_a_backfill_that_goes_backward_in_the_triggerer_runs_each_day_once(
    deferring_airflow: AirflowInstance, effects: Path
) -> None:
    backfills = Backfills(deferring_airflow, effects)
    runs = backfills.run("--run-backwards")
    assert {run["state"] for run in runs} == {"success"}
    assert len(set(backfills.flow_run_ids(runs).values())) == len(DAYS)
    seen = backfills.effects()
    assert Counter((start, end) for _, start, end, _ in seen) == intervals(DAYS)
    began = [run["logical_date"][:10] for run in runs]
    assert set(began[:AT_ONCE]) == {f"{day:%Y-%m-%d}" for day in DAYS[-AT_ONCE:]}
    assert backfills.most_at_once == AT_ONCE
