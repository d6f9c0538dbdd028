"""Why a flow run failed, where a real node shows it too rarely or too slowly.

The others are in tests/cluster/status/test_diagnosis.py.
"""

from __future__ import annotations

from typing import Any

import pytest

from flowjob.status.diagnosis import container_cause
from flowjob.status.failure import diagnose_failure
from tests.unit.status.shown import pod, seen


def test_a_container_that_is_killed_again_and_again_was_not_ended_by_its_pods_deletion() -> None:
    # At its limit of restarts the Job deletes the pod.
    killed = {"exitCode": 137, "reason": "Error", "finishedAt": "3"}
    observation = seen(
        pod({"terminated": killed}, killed, deletionTimestamp="4"), condition="Failed"
    )
    cause = diagnose_failure(observation)
    assert cause.message == "ended with exit code 137 (SIGKILL)"


@pytest.mark.parametrize(
    ("job", "by_whom"),
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
    job: dict[str, Any], by_whom: str
) -> None:
    assert diagnose_failure(seen(**job)).facts == (by_whom,)


def test_a_termination_message_that_is_no_text_is_told_as_such() -> None:
    message = "\ufffd\x00ELF\ufffd\x02\x01\x01\x00\x00\x00"
    cause = container_cause(_ended_with(message), "flow", {"exitCode": 3, "message": message})
    assert cause.message == "ended with exit code 3: its termination message is no text"


def test_of_a_message_that_may_be_the_end_of_the_log_the_last_line_is_told() -> None:
    message = "Traceback:\n" + "  File x\n" * 200 + "ValueError: no such region\n"
    pod = _ended_with(message, terminationMessagePolicy="FallbackToLogsOnError")
    cause = container_cause(pod, "flow", {"exitCode": 1, "message": message})
    assert cause.message == "ended with exit code 1: ValueError: no such region"


def _ended_with(message: str, **container: Any) -> Any:
    ended = {"terminated": {"exitCode": 3, "message": message}}
    return {
        "metadata": {"name": "sales-1"},
        "spec": {"containers": [{"name": "flow", **container}]},
        "status": {"containerStatuses": [{"name": "flow", "state": ended}]},
    }


@pytest.mark.parametrize(
    ("resources", "remedy"),
    [
        (
            {"limits": {"memory": "1Gi"}},
            "if nobody killed it, it ran out of memory: raise its resources.limits.memory",
        ),
        ({}, None),
    ],
)
def test_a_kill_of_which_the_runtime_did_not_hear_why_may_be_one_for_want_of_memory(
    resources: dict[str, Any], remedy: str | None
) -> None:
    killed = {"exitCode": 137, "reason": "Error"}
    of_flow = pod({"terminated": killed})
    of_flow["spec"]["containers"][0]["resources"] = resources
    assert container_cause(of_flow, "flow", killed).remedy == remedy
