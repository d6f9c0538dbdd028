"""Whose a pod is, and which of two looks at it counts."""

from __future__ import annotations

from typing import Any

from flowjob.status.observation import Observation, is_pod_of
from flowjob.status.trimming import trimmed

JOB: dict[str, Any] = {"metadata": {"name": "job", "uid": "j", "labels": {"flow_run_id": "f"}}}


def pod(owner: dict[str, Any] | None = None, phase: str = "Running") -> dict[str, Any]:
    return {
        "metadata": {
            "name": "p",
            "uid": "p",
            "labels": {"flow_run_id": "f", "job-name": "job"},
            "ownerReferences": [owner] if owner else [],
        },
        "spec": {"containers": [{"name": "flow", "command": ["secret"]}]},
        "status": {"phase": phase},
    }


def test_a_pod_is_its_jobs_by_its_owner_and_not_by_its_labels() -> None:
    controller = {"uid": "j", "controller": True, "kind": "Job", "name": "job"}
    assert is_pod_of(JOB, pod(controller))
    for owner in (None, {"uid": "j", "kind": "Job"}, {**controller, "uid": "copy"}):
        assert not is_pod_of(JOB, pod(owner))


def test_what_is_kept_of_a_pod_tells_whose_it_is() -> None:
    kept = trimmed(pod({"uid": "j", "controller": True, "kind": "Job", "name": "job"}))
    assert is_pod_of(JOB, kept)
    assert "secret" not in str(kept)


def test_what_the_pods_of_a_job_have_in_common_is_kept_once() -> None:
    pods = [pod({"uid": "j", "controller": True}) for _ in range(1000)]
    assert len({id(trimmed(each)["spec"]) for each in pods}) == 1
    pods[0]["spec"]["nodeName"] = "another"
    assert trimmed(pods[0])["spec"]["nodeName"] == "another"
    assert "nodeName" not in trimmed(pods[1])["spec"]


def test_a_list_that_was_long_on_its_way_does_not_take_an_end_back() -> None:
    observation = Observation(JOB)
    running, ended = pod(), pod(phase="Succeeded")
    running["metadata"]["resourceVersion"], ended["metadata"]["resourceVersion"] = "9", "10"
    assert observation.take_listed([running]) == {"p": running}
    assert observation.take_listed([running]) == {}
    assert observation.take_pod(ended)
    assert observation.take_listed([running]) == {}
    assert observation.pods == {"p": ended}
