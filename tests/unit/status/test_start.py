"""Why a flow run has not started, where a real node shows it too rarely or too slowly.

The others are in tests/cluster/status/test_diagnosis.py.
"""

from __future__ import annotations

from typing import Any

import pytest

from flowjob.status.diagnosis import subject_of
from flowjob.status.observation import Observation
from flowjob.status.start import Start
from tests.unit.status.shown import BACK_OFF, CRASHED, NOT_FOUND, pod, seen


def start_of(observation: Observation) -> Start:
    start = Start()
    start.see(observation)
    return start


@pytest.mark.parametrize(
    ("counts", "started"),
    [({}, False), ({"active": 1, "ready": 0}, False), ({"active": 1, "ready": 1}, True)],
)
def test_a_flow_run_whose_pods_may_not_be_listed_is_not_taken_for_one_that_does_not_start(
    counts: dict[str, Any], started: bool
) -> None:
    start = start_of(Observation({"metadata": {"name": "job"}, "status": counts}))
    assert start.has_started is started


@pytest.mark.parametrize(("last", "started"), [(None, False), (CRASHED, True), (NOT_FOUND, False)])
def test_a_flow_that_crashed_and_waits_for_its_restart_has_started(
    last: dict[str, Any] | None, started: bool
) -> None:
    assert start_of(seen(pod({"waiting": BACK_OFF}, last))).has_started is started


def test_a_job_that_is_released_once_more_has_its_start_before_it() -> None:
    ran = pod({"terminated": CRASHED}, creationTimestamp="2026-01-01T00:00:00Z")
    observation = seen(ran)
    start = start_of(observation)
    assert start.has_started
    observation.job["status"] = {"startTime": "2026-01-01T00:05:00Z"}
    start.see(Observation(observation.job))
    assert not start.has_started


def test_what_kept_an_earlier_pod_from_starting_does_not_end_a_job_that_is_released_once_more() -> (
    None
):
    created = "2026-01-01T00:00:00Z"
    ran = pod({"terminated": CRASHED}, creationTimestamp=created)
    broken = pod({"terminated": NOT_FOUND}, creationTimestamp=created)
    start = start_of(seen(broken, broken))
    assert start.hopeless is not None
    start = start_of(seen(ran, broken, broken))
    assert start.hopeless is None
    start.see(seen(status={"startTime": "2026-01-01T00:05:00Z"}))
    assert (start.has_started, start.hopeless) == (False, None)


def test_the_youngest_pod_that_is_held_up_tells_why() -> None:
    old = pod({"waiting": {"reason": "ErrImagePull", "message": "old"}}, creationTimestamp="1")
    young = pod({"waiting": {"reason": "ErrImagePull", "message": "young"}}, creationTimestamp="2")
    start = start_of(seen(young, old))
    cause = start.diagnose()
    assert cause is not None
    assert cause.message == "cannot pull the image 'flows:1': young"
    # It may heal.
    assert start.hopeless is None
    start.see(seen(pod({"waiting": {"reason": "PodInitializing"}}, creationTimestamp="2")))
    cause = start.diagnose()
    assert cause is not None
    assert cause.message == "cannot pull the image 'flows:1': old"


def test_a_container_that_is_restarted_again_and_again_is_told_by_how_it_ended() -> None:
    cause = start_of(seen(pod({"waiting": BACK_OFF}, NOT_FOUND))).diagnose()
    assert cause is not None
    assert cause.reason == "CrashLoopBackOff"
    assert str(cause) == (
        'could not start: exec: "/x": no such file; restarts so far: 2 '
        "(check its command and image)"
    )


NOT_PULLED = (
    'failed to pull and unpack image "docker.io/library/flows:1": failed to resolve reference '
    '"docker.io/library/flows:1": docker.io/library/flows:1: not found'
)


@pytest.mark.parametrize("reason", ["ErrImagePull", "ImagePullBackOff"])
def test_of_an_image_that_does_not_come_the_cause_is_told_before_what_was_tried(
    reason: str,
) -> None:
    told = {"reason": reason, "message": NOT_PULLED}
    cause = start_of(seen(pod({"waiting": told}))).diagnose()
    assert cause is not None
    assert cause.message == "cannot pull the image 'flows:1': not found"
    assert cause.facts == (NOT_PULLED,)
    assert cause.remedy == "check the image's name and tag"


@pytest.mark.parametrize(
    ("told", "message"),
    [
        (
            'Error creating: pods "sales-1-" is forbidden: exceeded quota: none, requested: pods=1',
            "no pod can be created: exceeded quota: none, requested: pods=1",
        ),
        (
            'Error creating: pods "sales-1-" is forbidden: error looking up service account '
            'team/absent: serviceaccount "absent" not found',
            'no pod can be created: serviceaccount "absent" not found',
        ),
        ("Error creating: Internal error", "no pod can be created: Internal error"),
    ],
)
def test_why_a_job_has_no_pod_is_told_without_what_everybody_knows(told: str, message: str) -> None:
    event = {"type": "Warning", "reason": "FailedCreate", "message": told, "lastTimestamp": "1"}
    cause = start_of(seen()).diagnose([event])
    assert cause is not None
    assert cause.message == message


def test_a_container_is_named_where_it_is_not_the_flows_and_an_index_where_there_are_several() -> (
    None
):
    crashed = pod({"terminated": CRASHED})
    crashed["spec"]["initContainers"] = [{"name": "first"}]
    crashed["spec"]["containers"].append({"name": "proxy"})
    names = ("flow", "first", "proxy")
    alone = [subject_of(crashed, name) for name in names]
    crashed["metadata"]["labels"] = {"batch.kubernetes.io/job-completion-index": "3"}
    assert alone == ["", "init container 'first' ", "container 'proxy' "]
    assert [subject_of(crashed, name) for name in names] == [
        "index 3 ",
        "init container 'first' of index 3 ",
        "container 'proxy' of index 3 ",
    ]
