"""What is told at a glance of a flow run that goes on."""

from __future__ import annotations

from typing import Any

import pytest

from flowjob.status.present import Present, present_of
from tests.unit.status.shown import CRASHED, pod

RUNNING = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}
NO_IMAGE = {"waiting": {"reason": "ErrImageNeverPull", "message": "pull policy of Never"}}
CREATING = {"waiting": {"reason": "ContainerCreating"}}


def job(condition: str = "", **metadata: Any) -> dict[str, Any]:
    conditions = [{"type": condition, "status": "True"}] if condition else []
    containers = [{"name": "flow", "image": "flows:1"}]
    return {
        "metadata": {"name": "sales", "uid": "job", **metadata},
        "spec": {"template": {"spec": {"containers": containers}}},
        "status": {"conditions": conditions},
    }


def pod_of(name: str, state: dict[str, Any], owner: str = "job", **status: Any) -> Any:
    made = pod(state, uid=name, creationTimestamp=name)
    made["metadata"] |= {"name": name, "ownerReferences": [{"uid": owner, "controller": True}]}
    made["spec"]["nodeName"] = f"node of {name}"
    made["status"] |= status
    return made


@pytest.mark.parametrize(
    ("shown", "told"),
    [
        (None, "the Job is gone"),
        (job(), "the Job has no pod yet"),
        (job("Suspended"), "the Job is suspended"),
        (job("Complete"), "the Job has ended, and Airflow has still to hear of it"),
        (job(deletionTimestamp="now"), "the Job is being deleted"),
    ],
)
def test_what_a_flow_run_without_a_pod_waits_for(shown: dict[str, Any] | None, told: str) -> None:
    assert present_of(shown, []) == Present(told=told)


@pytest.mark.parametrize(
    ("state", "told"),
    [
        (RUNNING, None),
        (CREATING, "the pod is being started"),
        (
            NO_IMAGE,
            "cannot start: pull policy of Never (bring the image to the node, or allow its pull)",
        ),
    ],
)
def test_what_a_flow_run_with_a_pod_waits_for(state: dict[str, Any], told: str | None) -> None:
    assert present_of(job(), [pod_of("a", state)]) == Present("a", "node of a", 1, told)


def test_of_several_pods_the_youngest_that_goes_on_is_named_and_no_others_pod() -> None:
    pods = [
        pod_of("1", RUNNING),
        pod_of("2", RUNNING),
        pod_of("3", {"terminated": CRASHED}, phase="Failed"),
        pod_of("4", RUNNING, owner="another"),
    ]
    assert present_of(job(), pods) == Present("2", "node of 2", 2)


def test_a_flow_run_whose_attempt_has_failed_waits_for_the_next() -> None:
    ended = pod_of("1", {"terminated": CRASHED}, phase="Failed")
    assert present_of(job(), [ended]) == Present("1", "node of 1", 0, "waits for its next attempt")
