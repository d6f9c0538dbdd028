"""What a try does with the Jobs of the tries before it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from flowjob.flow_run import FlowRun
from flowjob.launch.earlier_jobs import sort_earlier_jobs, sort_jobs_beside
from tests.unit.test_flow_run import FLOW_RUN

SECOND = replace(FLOW_RUN, flow_run_id="0198f3a1-7c1e-7d2a-9b3c-second000000", try_number=2)
NAMELESS = replace(SECOND, airflow="")
RECREATED = replace(FLOW_RUN, dag_run_start="2026-01-02T00:00:09.000001+00:00")
CLEARED = replace(SECOND, max_tries=5)


def job(name: str, *, of: FlowRun = FLOW_RUN, ended: str = "", deleted: bool = False) -> Any:
    metadata: dict[str, Any] = {
        "name": of.job_name(name),
        "labels": of.labels,
        "annotations": of.annotations,
        "creationTimestamp": "2026-01-01T00:00:00Z",
    }
    if deleted:
        metadata["deletionTimestamp"] = "2026-01-01T00:00:01Z"
    conditions = [{"type": ended, "status": "True"}] if ended else []
    return {"metadata": metadata, "status": {"conditions": conditions}}


@pytest.mark.parametrize("ended", ["", "Complete"])
def test_a_job_of_the_same_generation_that_goes_on_or_succeeded_is_adopted(ended: str) -> None:
    found = sort_earlier_jobs(SECOND, [job("a", ended=ended)])
    assert found.adopted is not None
    assert found.in_the_way == []


def test_a_failed_job_is_left_behind() -> None:
    found = sort_earlier_jobs(SECOND, [job("a", ended="Failed")])
    assert (found.adopted, found.in_the_way) == (None, [])


def test_after_a_clear_an_old_job_is_removed_if_it_goes_on_and_never_adopted() -> None:
    jobs = [job("active"), job("complete", ended="Complete"), job("failed", ended="Failed")]
    found = sort_earlier_jobs(CLEARED, jobs)
    assert found.adopted is None
    assert [stale["metadata"]["name"] for stale in found.in_the_way] == [
        FLOW_RUN.job_name("active")
    ]


@pytest.mark.parametrize("ended", ["", "Complete", "Failed"])
def test_a_job_that_is_being_deleted_is_waited_out(ended: str) -> None:
    found = sort_earlier_jobs(SECOND, [job("a", ended=ended, deleted=True)])
    assert found.adopted is None
    assert len(found.in_the_way) == 1


def test_the_jobs_of_another_airflow_are_neither_adopted_nor_removed() -> None:
    other = replace(FLOW_RUN, airflow="http://other")
    same_generation, another = job("a", of=other), job("b", of=replace(other, max_tries=7))
    found = sort_earlier_jobs(SECOND, [same_generation, another])
    assert (found.adopted, found.in_the_way) == (None, [])


def test_of_two_generations_the_own_is_adopted_and_the_other_removed() -> None:
    found = sort_earlier_jobs(CLEARED, [job("old"), job("own", of=CLEARED)])
    assert found.adopted is not None
    assert found.adopted["metadata"]["name"] == CLEARED.job_name("own")
    assert [stale["metadata"]["name"] for stale in found.in_the_way] == [FLOW_RUN.job_name("old")]


@pytest.mark.parametrize("deleted", [False, True])
def test_a_job_that_may_be_another_airflows_is_neither_adopted_nor_removed(deleted: bool) -> None:
    doubtful = job("a", of=replace(RECREATED, airflow=""), deleted=deleted)
    for flow_run in (NAMELESS, SECOND):
        found = sort_earlier_jobs(flow_run, [doubtful])
        assert (found.adopted, found.in_the_way, found.doubtful) == (None, [], [doubtful])


def test_without_a_name_the_start_of_the_run_tells_whose_job_it_is() -> None:
    unnamed = replace(FLOW_RUN, airflow="")
    assert sort_earlier_jobs(NAMELESS, [job("a", of=unnamed)]).adopted is not None
    found = sort_earlier_jobs(replace(CLEARED, airflow=""), [job("a", of=unnamed)])
    assert (found.adopted, len(found.in_the_way), found.doubtful) == (None, 1, [])


def test_a_job_of_a_run_that_was_deleted_and_made_again_is_removed_by_the_first_try() -> None:
    found = sort_earlier_jobs(RECREATED, [job("old")])
    assert (found.adopted, len(found.in_the_way), found.doubtful) == (None, 1, [])


def test_a_copy_of_a_job_that_somebody_made_is_left_alone() -> None:
    original, copied = job("a"), job("a")
    copied["metadata"] |= {"name": "a-debug", "creationTimestamp": "2026-01-01T00:01:00Z"}
    for flow_run in (SECOND, CLEARED):
        found = sort_earlier_jobs(flow_run, [original, copied])
        assert copied not in (found.adopted, *found.in_the_way, *found.doubtful)
    assert sort_earlier_jobs(SECOND, [original, copied]).adopted is original


def test_of_jobs_that_were_launched_at_once_a_later_trys_stays_also_when_it_has_ended() -> None:
    own, later = job("a"), job("b", of=SECOND, ended="Complete")
    assert sort_jobs_beside(FLOW_RUN, [own, later]) == ([], later)
    assert sort_jobs_beside(SECOND, [own, later]) == ([own], None)


def test_beside_the_own_job_those_that_have_ended_copies_and_foreign_ones_are_left_alone() -> None:
    copy = job("copy")
    copy["metadata"]["name"] = "copied-to-debug-it"
    foreign = job("foreign", of=replace(FLOW_RUN, airflow="http://other"))
    ended = [job("failed", ended="Failed"), job("complete", ended="Complete")]
    assert sort_jobs_beside(SECOND, [copy, foreign, *ended]) == ([], None)
