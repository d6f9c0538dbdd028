"""What the page shows of a flow run, from what Airflow's database has."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from flowjob.flow_run import TaskInstanceKey
from flowjob.ui.shown import Listed, shown, status_of, value_of

CREATED = datetime(2026, 2, 3, 0, 0, 1, tzinfo=UTC)
OUTCOME = {
    "status": "failed",
    "reason": "OOMKilled",
    "message": "container 'flow' ran out of memory",
    "pod": "sales-1-x",
    "node": "n1",
    "exit_code": 137,
    "started_at": "2026-02-03T00:00:05Z",
    "finished_at": "2026-02-03T00:00:09Z",
}


def listed(state: str | None, **xcoms: Any) -> Listed:
    key = TaskInstanceKey("sales", "run", "load", 3)
    return Listed(key, "5f1d", CREATED, state, 2, (CREATED, None), xcoms)


def test_a_flow_run_is_shown_with_where_it_ran_and_why_it_failed() -> None:
    links = {"_link_KubernetesLink": "https://console/", "_link_LogsLink": ""}
    found = shown(listed("up_for_retry", status="failed", outcome=OUTCOME, job_name="j", **links))
    assert found["status"] == "failed"
    assert found["message"] == "container 'flow' ran out of memory"
    assert (found["pod"], found["node"], found["exit_code"]) == ("sales-1-x", "n1", 137)
    assert (found["started_at"], found["finished_at"]) == (
        "2026-02-03T00:00:05Z",
        "2026-02-03T00:00:09Z",
    )
    assert (found["map_index"], found["try_number"]) == (3, 2)
    assert found["links"] == {"Kubernetes": "https://console/"}


def test_a_flow_run_that_goes_on_has_begun_with_its_job() -> None:
    found = shown(listed("deferred"))
    assert (found["status"], found["started_at"]) == ("running", CREATED.isoformat())
    assert found["finished_at"] is found["message"] is None


@pytest.mark.parametrize(
    ("state", "told", "status"),
    [
        ("running", None, "running"),
        ("deferred", None, "running"),
        (None, None, "running"),
        # It may have lost its worker, and the Job goes on.
        ("up_for_retry", None, "running"),
        ("up_for_retry", "failed", "failed"),
        ("success", "succeeded", "succeeded"),
        ("failed", "cancelled", "cancelled"),
        # Marked while it was deferred, say: Airflow tells nobody how it went.
        ("failed", None, "unknown"),
        ("success", None, "unknown"),
        ("failed", {"not": "ours"}, "unknown"),
    ],
)
def test_no_flow_run_is_shown_as_something_that_is_not_known(
    state: str | None, told: Any, status: str
) -> None:
    assert status_of(state, told) == status


@pytest.mark.parametrize("value", ["succeeded", 'it said "no"', {"a": [1]}, None, "\u0000é", ""])
def test_an_xcom_is_read_as_any_version_of_airflow_stores_it(value: Any) -> None:
    assert value_of(json.dumps(value)) == value
    assert value_of(value) == value


@pytest.mark.parametrize("strange", [7, ["a"], {"a": 1}, True, "text", None])
def test_an_xcom_of_somebody_elses_breaks_no_page(strange: Any) -> None:
    names = ("status", "outcome", "job_name", "namespace", "_link_LogsLink")
    found = shown(listed("success", **dict.fromkeys(names, strange)))
    assert json.loads(json.dumps(found)) == found
    assert found["status"] == "unknown"
    assert all(isinstance(link, str) for link in found["links"].values())
