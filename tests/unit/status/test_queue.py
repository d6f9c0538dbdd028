"""What a Job waits for in Kueue's queue, by Kueue's own words.

The sentences are those of Kueue 0.17, as tests/scale/kueue has some of them said by a real one.
"""

from __future__ import annotations

from typing import Any

import pytest

from flowjob.status.observation import Observation
from flowjob.status.progress import Progress
from flowjob.status.queue import Place, place_of

UNUSED = "insufficient unused quota for {} in flavor {}, 1 more needed"
TOO_MUCH = (
    "insufficient quota for {} in flavor {}, previously considered podsets requests (0) + current "
    "podset request (7) > maximum capacity (1)"
)


def workload(
    message: str, reason: str = "Pending", *, created: str = "1", **parts: Any
) -> dict[str, Any]:
    reserved = {"type": "QuotaReserved", "status": "False", "reason": reason, "message": message}
    made = {"metadata": {"creationTimestamp": created}, "status": {"conditions": [reserved]}}
    return {**made, **parts}


def place(message: str, reason: str = "Pending") -> Place:
    return place_of("nightly", [workload(message, reason)])


def no_flavor(*reasons: str) -> str:
    return f"couldn't assign flavors to pod set main: {', '.join(reasons)}"


@pytest.mark.parametrize(
    ("message", "remedy"),
    [
        ("LocalQueue nightly doesn't exist", "create the LocalQueue"),
        ("LocalQueue nightly is terminating or missing", "create the LocalQueue"),
        ("ClusterQueue flows doesn't exist", "create the ClusterQueue"),
        ("ClusterQueue flows not found", "create the ClusterQueue"),
        ("Workload namespace doesn't match ClusterQueue selector", "have the ClusterQueue's"),
        (no_flavor("resource gpu unavailable in ClusterQueue"), "give the ClusterQueue a quota"),
        (no_flavor(TOO_MUCH.format("cpu", "a")), "lower the pod's resources.requests"),
        (
            no_flavor(TOO_MUCH.format("cpu", "a"), UNUSED.format("memory", "a")),
            "lower the pod's resources.requests",
        ),
        ("resources validation failed: requests above limits", "correct the pod's"),
    ],
)
def test_what_kueue_can_never_admit_is_told_with_its_own_sentence_and_what_helps(
    message: str, remedy: str
) -> None:
    final = place(message).final
    assert final is not None
    assert final.message == f"not admitted in queue nightly: {message}"
    assert final.reason == "Inadmissible"
    assert str(final.remedy).startswith(remedy)


@pytest.mark.parametrize(
    "message",
    [
        no_flavor(UNUSED.format("cpu", "a")),
        # The one has never room enough, the other has later.
        no_flavor(TOO_MUCH.format("cpu", "a"), UNUSED.format("cpu", "b")),
        "ClusterQueue flows is stopped",
        "LocalQueue nightly is inactive",
        "Preempted to accommodate a workload (UID: 1, JobUID: 2) due to prioritization",
        "words that a later Kueue has",
    ],
)
def test_what_may_pass_or_is_held_on_purpose_is_waited_for(message: str) -> None:
    assert place(message) == Place(message)


def test_a_workload_that_somebody_deactivates_is_waited_for_and_one_that_kueue_gave_up_is_not() -> (
    None
):
    held = workload("", spec={"active": False})
    assert place_of("nightly", [held]) == Place("The workload is deactivated")
    message = (
        "The workload is deactivated due to exceeding the maximum number of re-queuing retries"
    )
    evicted = {"type": "Evicted", "status": "True", "reason": "Deactivated", "message": message}
    held["status"]["conditions"].append(evicted)
    final = place_of("nightly", [held]).final
    assert final is not None
    told = f"not admitted in queue nightly: {message}"
    assert (final.reason, final.message) == ("Deactivated", told)
    # Since it was activated again, it waits for what all wait for.
    held["spec"]["active"] = True
    held["status"]["conditions"][0]["message"] = "no room"
    assert place_of("nightly", [held]) == Place(f"no room; it was evicted: {message}")


def test_one_that_was_preempted_says_by_what_from_then_until_it_is_admitted_again() -> None:
    message = "Preempted to accommodate a workload (UID: 1, JobUID: 2) due to prioritization"
    evicted = {"type": "Evicted", "status": "True", "reason": "Preempted", "message": message}
    reserved = {"type": "QuotaReserved", "status": "True"}
    preempted = workload("", status={"conditions": [reserved, evicted]})
    assert place_of("nightly", [preempted]) == Place(message)
    reserved |= {"status": "False", "reason": "Pending", "message": message}
    assert place_of("nightly", [preempted]) == Place(message)
    reserved["message"] = "no room"
    assert place_of("nightly", [preempted]) == Place(f"no room; it was evicted: {message}")


def test_an_admission_check_that_is_open_is_named() -> None:
    reserved = {"type": "QuotaReserved", "status": "True"}
    checks: list[dict[str, Any]] = [
        {"name": "budget", "state": "Ready", "message": "paid"},
        {"name": "nodes", "state": "Pending", "message": "waiting for\nnodes"},
    ]
    status = {"conditions": [reserved], "admissionChecks": checks}
    told = "its quota is reserved, the admission check nodes says: waiting for nodes"
    assert place_of("nightly", [workload("", status=status)]).message == told
    checks[1]["state"] = "Ready"
    held = place_of("nightly", [workload("", status=status)])
    assert held == Place("it is about to be released")


@pytest.mark.parametrize("workloads", [[], [{"metadata": {}}], [{"metadata": {}, "status": None}]])
def test_what_kueue_has_not_seen_yet_is_waited_for(workloads: list[Any]) -> None:
    assert place_of("nightly", workloads) == Place("Kueue knows nothing of it yet")


def test_of_a_job_with_several_workloads_the_youngest_tells() -> None:
    old, young = workload("old", created="2026-01-01"), workload("young", created="2026-01-02")
    assert place_of("nightly", [young, old]).message == "young"


def test_hostile_words_make_one_line() -> None:
    assert place("a\x00b\r\nERROR - c").message == "a\N{REPLACEMENT CHARACTER}b ERROR - c"


def test_a_job_that_is_suspended_in_a_queue_names_it_each_time_it_is() -> None:
    labels = {"kueue.x-k8s.io/queue-name": "nightly"}
    progress = Progress()

    def news(status: str) -> list[str]:
        conditions = [{"type": "Suspended", "status": status}]
        metadata = {"name": "job", "labels": labels}
        return list(
            progress.news(Observation({"metadata": metadata, "status": {"conditions": conditions}}))
        )

    told = ["The Job job is suspended, and waits in queue nightly"]
    assert [news(status) for status in ("True", "True", "False", "True")] == [told, [], [], told]
