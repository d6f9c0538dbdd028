"""The ids of a flow run and what is named after them."""

from __future__ import annotations

import re
from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from flowjob.flow_run import (
    FlowRun,
    TaskInstanceKey,
    flow_run_id_of,
    flow_run_selector,
    label,
    task_instance_of,
)

TASK_INSTANCE = TaskInstanceKey("nightly", "scheduled__2026-01-01T00:00:00+00:00", "sales")
FLOW_RUN = FlowRun(
    flow_run_id="0198f3a1-7c1e-7d2a-9b3c-5d4e6f708192",
    task_instance=TASK_INSTANCE,
    airflow="http://airflow",
    try_number=1,
    max_tries=2,
    dag_run_start="2026-01-02T00:00:01+00:00",
)


def test_all_tries_of_a_task_instance_share_the_identifier() -> None:
    second = replace(FLOW_RUN, flow_run_id=str(uuid4()), try_number=2)
    assert second.labels["identifier"] == FLOW_RUN.labels["identifier"]
    assert UUID(FLOW_RUN.labels["identifier"]).version == 5


@pytest.mark.parametrize(
    "other",
    [{"dag_id": "weekly"}, {"run_id": "manual"}, {"task_id": "costs"}, {"map_index": 0}],
)
def test_another_task_instance_has_another_identifier(other: dict[str, str]) -> None:
    changed = replace(TASK_INSTANCE, **other)  # type: ignore[arg-type]
    assert changed.identifier != TASK_INSTANCE.identifier


def test_names_that_only_join_alike_have_different_identifiers() -> None:
    one = TaskInstanceKey("a", "b/c", "t")
    two = TaskInstanceKey("a/b", "c", "t")
    assert one.identifier != two.identifier


def test_a_clear_or_a_recreated_run_begins_a_new_generation() -> None:
    assert replace(FLOW_RUN, try_number=2).generation == FLOW_RUN.generation
    assert replace(FLOW_RUN, max_tries=5).generation != FLOW_RUN.generation
    assert replace(FLOW_RUN, dag_run_start="2026-01-03").generation != FLOW_RUN.generation


@pytest.mark.parametrize(
    ("base", "begins"),
    [
        ("my-prefect-job", "my-prefect-job-"),
        ("report-", "report-"),
        ("My_Report.v2", "my-report-v2-"),
        ("é", "flow-"),
        (None, "nightly-sales-"),
        ("x" * 100, "x" * 46 + "-"),
    ],
)
def test_the_job_is_named_after_the_spec_and_the_flow_run(base: str | None, begins: str) -> None:
    name = FLOW_RUN.job_name(base)
    assert name == begins + "9b3c5d4e6f708192"
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", name)
    assert len(name) <= 63


def test_two_tries_never_share_a_job_name() -> None:
    names = {replace(FLOW_RUN, flow_run_id=str(uuid4())).job_name("x") for _ in range(1000)}
    assert len(names) == 1000


@pytest.mark.parametrize("map_index", [-1, 3])
def test_a_job_tells_whose_it_is(map_index: int) -> None:
    key = replace(TASK_INSTANCE, map_index=map_index)
    job = {"metadata": {"annotations": replace(FLOW_RUN, task_instance=key).annotations}}
    assert task_instance_of(job) == key
    assert task_instance_of({"metadata": {"annotations": {"flowjob/dag_id": "d"}}}) is None
    assert task_instance_of({"metadata": {}}) is None


def test_a_job_and_its_pods_tell_which_flow_run_they_are_of() -> None:
    job = {"metadata": {"labels": FLOW_RUN.labels}}
    assert flow_run_id_of(job) == FLOW_RUN.flow_run_id
    assert flow_run_selector(job) == f"flow_run_id={FLOW_RUN.flow_run_id}"


def test_somebody_elses_job_is_of_no_flow_run() -> None:
    for metadata in ({}, {"labels": None}, {"labels": {"app": "x"}}):
        assert label({"metadata": metadata}, "flow_run_id") is None
