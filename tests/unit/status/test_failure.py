"""Why a flow run failed, where a real node shows it too rarely or too slowly.

The others are in tests/cluster/status/test_diagnosis.py.
"""

from __future__ import annotations

from typing import Any

import pytest

from flowjob.status.failure import diagnose_failure
from tests.unit.status.shown import pod, seen


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
