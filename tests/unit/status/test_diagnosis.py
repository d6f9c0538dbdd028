"""Why a flow run failed or has not started, where a real node shows it too rarely or too slowly.

The others are in tests/cluster/status/test_diagnosis.py.
"""

from __future__ import annotations

from typing import Any

import pytest

from flowjob.status.diagnosis import (
    diagnose_failure,
    diagnose_start,
    has_started,
    lost_pods,
    pod_warnings,
)
from flowjob.status.observation import Observation

CRASHED = {"exitCode": 4, "reason": "Error", "finishedAt": "2"}
NOT_FOUND = {"exitCode": 128, "reason": "StartError", "message": 'exec: "/x": no such file\n'}
BACK_OFF = {"reason": "CrashLoopBackOff", "message": "back-off 10s restarting failed container"}


def pod(state: dict[str, Any], last: dict[str, Any] | None = None, **metadata: Any) -> Any:
    status = {"name": "flow", "state": state, "restartCount": 2 if last else 0}
    status["lastState"] = {"terminated": last} if last else {}
    return {
        "metadata": {"name": "a", **metadata},
        "spec": {
            "restartPolicy": "OnFailure" if last else "Never",
            "containers": [{"name": "flow"}],
        },
        "status": {"containerStatuses": [status]},
    }


def seen(*pods: Any, condition: str = "", **job: Any) -> Observation:
    conditions = [{"type": condition, "status": "True"}] if condition else []
    job = {"metadata": {"name": "job"}, "status": {"conditions": conditions}, **job}
    return Observation(job, {str(number): each for number, each in enumerate(pods)})


@pytest.mark.parametrize(
    ("counts", "started"),
    [({}, False), ({"active": 1, "ready": 0}, False), ({"active": 1, "ready": 1}, True)],
)
def test_a_flow_run_whose_pods_may_not_be_listed_is_not_taken_for_one_that_does_not_start(
    counts: dict[str, Any], started: bool
) -> None:
    assert has_started(Observation({"metadata": {"name": "job"}, "status": counts})) is started


@pytest.mark.parametrize(("last", "started"), [(None, False), (CRASHED, True), (NOT_FOUND, False)])
def test_a_flow_that_crashed_and_waits_for_its_restart_has_started(
    last: dict[str, Any] | None, started: bool
) -> None:
    assert has_started(seen(pod({"waiting": BACK_OFF}, last))) is started


def test_a_job_that_is_released_once_more_has_its_start_before_it() -> None:
    ran = pod({"terminated": CRASHED}, creationTimestamp="2026-01-01T00:00:00Z")
    observation = seen(ran)
    assert has_started(observation)
    observation.job["status"] = {"startTime": "2026-01-01T00:05:00Z"}
    assert not has_started(observation)


def test_a_container_that_is_restarted_again_and_again_is_told_by_how_it_ended() -> None:
    cause = diagnose_start(seen(pod({"waiting": BACK_OFF}, NOT_FOUND)))
    assert cause is not None
    assert cause.reason == "CrashLoopBackOff"
    assert str(cause) == (
        "container 'flow' of pod 'a' could not start: exec: \"/x\": no such file; restarts "
        "so far: 2 (check its command and image)"
    )


def test_a_container_that_is_killed_again_and_again_was_not_ended_by_its_pods_deletion() -> None:
    # At its limit of restarts the Job deletes the pod.
    killed = {"exitCode": 137, "reason": "Error", "finishedAt": "3"}
    observation = seen(
        pod({"terminated": killed}, killed, deletionTimestamp="4"), condition="Failed"
    )
    cause = diagnose_failure(observation)
    assert cause.message == "container 'flow' of pod 'a' ended with exit code 137 (SIGKILL)"


@pytest.mark.parametrize(
    ("job", "remedy"),
    [
        ({}, "by somebody, or by its ttlSecondsAfterFinished"),
        ({"spec": {"backoffLimit": 0}}, "by somebody: it has no ttlSecondsAfterFinished"),
        (
            {"spec": {"ttlSecondsAfterFinished": 5}},
            "by somebody, or by its ttlSecondsAfterFinished: 5 s may be too short to see how a "
            "Job ended",
        ),
    ],
)
def test_a_deleted_job_is_told_with_what_may_have_deleted_it(
    job: dict[str, Any], remedy: str
) -> None:
    assert diagnose_failure(seen(**job)).remedy == remedy


def test_pods_that_were_seen_to_end_are_not_lost_and_have_no_warnings() -> None:
    ended = pod({"terminated": {"exitCode": 0, "reason": "Completed", "finishedAt": "2"}})
    assert lost_pods(seen(ended, condition="Complete")) is None
    assert list(pod_warnings(ended)) == []
    assert lost_pods(seen(pod({"running": {}}), condition="Complete")) is not None


def test_the_end_of_a_flow_that_is_restarted_is_no_warning_of_its_own() -> None:
    # Each of its attempts is told as such.
    assert list(pod_warnings(pod({"running": {}}, CRASHED))) == []
