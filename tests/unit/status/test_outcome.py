"""From what the cluster shows to how the flow run ended; cases as a real node showed them."""

from __future__ import annotations

from typing import Any

import pytest

from flowjob.status.observation import Observation, has_ended, is_settled
from flowjob.status.outcome import (
    Outcome,
    outcome_of,
    outcome_of_exit,
    outcome_of_flow,
)

BACKOFF = "Job has reached the specified backoff limit"


def job(*conditions: tuple[str, str], reason: str = "", message: str = "") -> dict[str, Any]:
    return {
        "metadata": {"name": "sales-1", "uid": "u"},
        "status": {
            "conditions": [
                {"type": kind, "status": status, "reason": reason, "message": message}
                for kind, status in conditions
            ]
        },
    }


def pod(name: str, **terminated: Any) -> dict[str, Any]:
    state = {"terminated": terminated} if terminated else {"running": {}}
    return {
        "metadata": {"name": name},
        "spec": {"containers": [{"name": "flow"}, {"name": "proxy"}]},
        "status": {
            "containerStatuses": [
                {"name": "proxy", "state": {"terminated": {"exitCode": 7, "finishedAt": "9"}}},
                {"name": "flow", "state": state},
            ]
        },
    }


def ended(name: str, code: int, at: str, reason: str = "Error", **more: Any) -> dict[str, Any]:
    return pod(name, exitCode=code, reason=reason, startedAt="1", finishedAt=at, **more)


@pytest.mark.parametrize(
    ("conditions", "over"),
    [
        ([], False),
        ([("Complete", "True")], True),
        ([("Failed", "True")], True),
        ([("Failed", "False")], False),
        ([("Suspended", "True")], False),
        ([("FailureTarget", "True")], False),
        ([("SuccessCriteriaMet", "True")], False),
    ],
)
def test_only_a_true_end_is_an_end(conditions: list[tuple[str, str]], over: bool) -> None:
    assert has_ended(Observation(job(*conditions))) is over


def test_a_job_that_vanished_did_not_succeed() -> None:
    observation = Observation(job(), job_gone=True)
    assert has_ended(observation)
    outcome = outcome_of(observation)
    assert (outcome.status, outcome.reason) == ("failed", "JobDeleted")
    assert outcome.message == "the Job was deleted before it was seen to end"


def test_a_job_that_completed_and_was_then_collected_succeeded() -> None:
    observation = Observation(job(("Complete", "True")), job_gone=True)
    assert outcome_of(observation).status == "succeeded"


def test_success_tells_place_times_exit_code_and_result() -> None:
    pods = {"a": ended("a", 1, "2"), "b": ended("b", 0, "3", "Completed", message="{}")}
    pods["b"]["spec"]["nodeName"] = "n"
    outcome = outcome_of(Observation(job(("Complete", "True")), pods))
    assert outcome.to_dict() == {
        "status": "succeeded",
        "reason": None,
        "message": None,
        "pod": "b",
        "node": "n",
        "container": None,
        "exit_code": 0,
        "started_at": "1",
        "finished_at": "3",
    }
    assert outcome.termination_message == "{}"


def test_success_without_a_pod_is_still_a_success() -> None:
    outcome = outcome_of(Observation(job(("Complete", "True"))))
    assert (outcome.status, outcome.exit_code) == ("succeeded", None)


def test_failure_is_told_by_the_last_pod_that_failed() -> None:
    pods = {
        "b": ended("b", 3, "8", message="ValueError: no region\n"),
        "a": ended("a", 1, "2"),
        "c": pod("c"),
    }
    outcome = outcome_of(Observation(job(("Failed", "True"), message=BACKOFF), pods))
    assert (outcome.status, outcome.reason, outcome.exit_code) == ("failed", "Error", 3)
    assert outcome.message == "ended with exit code 3: ValueError: no region"
    assert (outcome.container, outcome.pod) == ("flow", "b")


def test_the_exit_code_of_an_earlier_attempt_is_not_taken_for_that_of_the_last() -> None:
    first, second = ended("a", 99, "2"), pod("b")
    for number, each in enumerate((first, second)):
        each["metadata"]["creationTimestamp"] = str(number)
    pods = {"a": first, "b": second}
    assert outcome_of(Observation(job(("Failed", "True")), pods)).exit_code is None
    assert outcome_of(Observation(job(), pods, job_gone=True)).exit_code is None
    # Side by side, they are no attempts of one another.
    side_by_side = {**job(("Failed", "True")), "spec": {"completions": 2}}
    assert outcome_of(Observation(side_by_side, pods)).exit_code == 99


@pytest.mark.parametrize(
    ("counts", "phases", "settled"),
    [
        ({"succeeded": 1}, ["Succeeded"], True),
        ({"failed": 1, "succeeded": 1}, ["Failed", "Succeeded"], True),
        ({"failed": 2}, ["Failed", "Running"], False),
        ({"failed": 2}, ["Failed"], False),
        ({}, [], False),
    ],
    ids=["succeeded", "retried", "the last one lags", "the last one is not seen", "none is seen"],
)
def test_the_pods_of_an_ended_job_are_read_again_where_their_watch_lags(
    counts: dict[str, int], phases: list[str], settled: bool
) -> None:
    pods = {str(n): {"status": {"phase": phase}} for n, phase in enumerate(phases)}
    shown = job(("Complete", "True"))
    shown["status"] |= counts
    assert is_settled(Observation(shown, pods)) is settled


def test_failure_without_a_pod_is_told_by_the_job() -> None:
    failed = job(("Failed", "True"), reason="BackoffLimitExceeded", message=BACKOFF)
    outcome = outcome_of(Observation(failed))
    assert outcome.reason == "BackoffLimitExceeded"
    assert outcome.message == f"the Job failed: {BACKOFF}"


def beside(code: int, policy: str = "Never", phase: str = "Running") -> Observation:
    """A pod whose flow has ended while another container runs."""
    shown = ended("a", code, "2")
    shown["spec"]["restartPolicy"] = policy
    shown["status"]["phase"] = phase
    shown["status"]["containerStatuses"][0]["state"] = {"running": {}}
    return Observation(job(), {"a": shown})


def test_a_flow_that_ends_before_its_sidecars_has_an_outcome_of_its_own() -> None:
    outcome = outcome_of_flow(beside(0))
    assert outcome is not None
    assert (outcome.status, outcome.exit_code, outcome.job_is_active) == ("succeeded", 0, True)
    outcome = outcome_of_flow(beside(3))
    assert outcome is not None
    assert (outcome.status, outcome.exit_code, outcome.job_is_active) == ("failed", 3, True)


@pytest.mark.parametrize(
    "observation",
    [
        beside(3, policy="OnFailure"),
        beside(3, phase="Failed"),
        Observation(job(), {"a": pod("a")}),
        Observation(job()),
    ],
    ids=["restarts", "left to the Job", "runs", "no pod"],
)
def test_a_flow_that_kubernetes_goes_on_with_has_not_ended(observation: Observation) -> None:
    assert outcome_of_flow(observation) is None


def test_a_pod_that_was_told_to_end_has_not_ended_its_flow_with_the_code_of_that() -> None:
    running = job()
    running["spec"] = {"backoffLimit": 6}
    told = ended("sales-1", 143, "2026-01-01T00:00:00Z")
    observation = Observation(running, {"1": told})
    assert outcome_of_exit(observation, {143}) is not None
    # As by Kueue, which preempts it.
    told["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert outcome_of_exit(observation, {143}) is None


def test_what_airflow_stores_of_a_failure_is_one_sentence() -> None:
    outcome = Outcome("failed", "Error", "it broke", facts=["twice", "at once"], remedy="mend it")
    stored = outcome.to_dict()
    assert stored["message"] == outcome.sentence == "it broke; twice; at once (mend it)"
    assert stored.keys() == outcome_of(Observation(job(("Complete", "True")))).to_dict().keys()
    assert not {"facts", "remedy"} & stored.keys()
