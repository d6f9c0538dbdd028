"""Why a flow run has not started, where a real node shows it too rarely or too slowly.

The others are in tests/cluster/status/test_diagnosis.py.
"""

from __future__ import annotations

from typing import Any

import pytest

from flowjob.status.observation import Observation
from flowjob.status.start import diagnose_start, has_started
from tests.unit.status.shown import BACK_OFF, CRASHED, NOT_FOUND, pod, seen


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
