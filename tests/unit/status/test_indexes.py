"""Whose result counts in a Job of several pods."""

from __future__ import annotations

from typing import Any

import pytest

from flowjob.exceptions import ResultError
from flowjob.status.observation import Observation
from flowjob.status.outcome import outcome_of
from flowjob.status.result import parse_result


def pod(index: int | None, message: str = "", code: int = 0, at: str = "1", **state: Any) -> Any:
    ended = {"exitCode": code, "reason": "Completed", "message": message, "finishedAt": at, **state}
    labels = {} if index is None else {"batch.kubernetes.io/job-completion-index": str(index)}
    return {
        "metadata": {"name": f"sales-{index}-{at}", "labels": labels},
        "spec": {"containers": [{"name": "flow"}]},
        "status": {"containerStatuses": [{"name": "flow", "state": {"terminated": ended}}]},
    }


def result_of(*pods: Any, **spec: Any) -> Any:
    job = {
        "metadata": {"name": "sales"},
        "spec": spec,
        "status": {"conditions": [{"type": "Complete", "status": "True"}]},
    }
    numbered = {str(number): each for number, each in enumerate(pods)}
    return parse_result(outcome_of(Observation(job, numbered)))


INDEXED = {"completionMode": "Indexed", "completions": 3, "parallelism": 3}


def test_an_indexed_job_has_the_results_of_all_indexes_by_index() -> None:
    pods = (pod(2, "[3]", at="1"), pod(0, "1", at="3"), pod(1, at="2"))
    assert result_of(*pods, **INDEXED) == [1, None, [3]]


def test_of_an_index_that_was_tried_again_the_attempt_that_succeeded_counts() -> None:
    pods = (pod(0, "1", code=1, at="9"), pod(0, "2", at="2"), pod(1, "1"), pod(2, "1"))
    assert result_of(*pods, **INDEXED) == [2, 1, 1]


def test_an_index_whose_pod_is_gone_or_ran_out_of_memory_has_no_result() -> None:
    pods = (pod(0, "1"), pod(2, "[", reason="OOMKilled"))
    assert result_of(*pods, **INDEXED) == [1, None, None]


def test_a_leaders_result_is_the_flow_runs() -> None:
    pods = (pod(0, '"leader"', at="1"), pod(1, '"worker"', at="9"))
    policy = {"rules": [{"succeededIndexes": "0"}]}
    assert result_of(*pods, **INDEXED, successPolicy=policy) == "leader"


def test_without_one_leader_a_success_policy_changes_nothing() -> None:
    pods = (pod(0, "1"), pod(1, "2"))
    for rule in ({"succeededIndexes": "0-1"}, {"succeededCount": 2}):
        assert result_of(*pods, **INDEXED, successPolicy={"rules": [rule]}) == [1, 2, None]


def test_of_several_pods_without_indexes_that_which_ended_last_counts() -> None:
    pods = (pod(None, "1", at="1"), pod(None, "3", at="3"), pod(None, "2", at="2"))
    assert result_of(*pods, completions=3, parallelism=3) == 3


def test_an_index_whose_result_is_none_has_it_refused() -> None:
    with pytest.raises(ResultError, match="is not JSON"):
        result_of(pod(0, "1"), pod(1, "{"), pod(2, "3"), **INDEXED)


def test_results_that_are_too_large_together_are_refused() -> None:
    pods = [pod(number, f'"{"x" * 3000}"') for number in range(400)]
    with pytest.raises(ResultError, match="those of all indexes have 1200800 bytes together"):
        result_of(*pods, **(INDEXED | {"completions": 400}))
