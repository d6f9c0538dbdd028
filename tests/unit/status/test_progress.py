"""The task's log tells each change once."""

from __future__ import annotations

from typing import Any

from flowjob.status.observation import Observation
from flowjob.status.progress import Progress


def pod(name: str, state: dict[str, Any] | None = None, *, node: str | None = "n") -> Any:
    statuses = [{"name": "flow", "state": state, "restartCount": 0}] if state else []
    return {
        "metadata": {"name": name, "creationTimestamp": name},
        "spec": {"nodeName": node, "containers": [{"name": "flow", "image": "flows:1"}]},
        "status": {"containerStatuses": statuses},
    }


def test_each_change_is_told_once() -> None:
    observation = Observation({"metadata": {"name": "job"}, "spec": {"backoffLimit": 6}})
    progress = Progress()

    def news(state: dict[str, Any] | None, **arguments: Any) -> list[str]:
        observation.pods["1"] = pod("a", state, **arguments)
        return list(progress.news(observation))

    assert news(None, node=None) == ["Pod a is created"]
    assert news(None) == ["Pod a is scheduled to node n"]
    assert news({"waiting": {"reason": "ContainerCreating"}}) == []
    pull = {"waiting": {"reason": "ErrImagePull", "message": "no such host"}}
    assert news(pull) == ["Pod a waits: cannot pull the image 'flows:1': no such host"]
    again = {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off: no such host"}}
    assert news(again) == []
    assert news({"running": {}}) == ["Pod a runs the flow on node n"]
    assert news({"running": {}}) == []
    assert news({"terminated": {"exitCode": 1}}) == ["Pod a ended its flow with exit code 1"]
    observation.pods["2"] = pod("b", {"running": {}})
    assert list(progress.news(observation)) == ["Pod b, attempt 2 of 7, runs the flow on node n"]


def test_a_suspended_job_is_told() -> None:
    conditions = [{"type": "Suspended", "status": "True"}]
    job = {"metadata": {"name": "job"}, "status": {"conditions": conditions}}
    assert list(Progress().news(Observation(job))) == ["The Job job is suspended, and waited for"]


def test_what_keeps_the_job_active_after_its_flow_is_told_once() -> None:
    shown = pod("a", {"terminated": {"exitCode": 0}})
    shown["status"]["phase"] = "Running"
    shown["status"]["containerStatuses"].append({"name": "proxy", "state": {"running": {}}})
    observation = Observation({"metadata": {"name": "job"}}, {"1": shown})
    progress = Progress()
    assert list(progress.news(observation)) == [
        "Pod a ended its flow with exit code 0",
        "The flow has ended, and these containers of its pod still run: proxy",
    ]
    assert list(progress.news(observation)) == []


def test_pods_that_run_side_by_side_are_no_attempts_of_one_another() -> None:
    job = {"metadata": {"name": "job"}, "spec": {"backoffLimit": 6, "completions": 2}}
    pods = {name: pod(name, {"running": {}}) for name in ("a", "b")}
    assert list(Progress().news(Observation(job, pods))) == [
        "Pod a runs the flow on node n",
        "Pod b runs the flow on node n",
    ]


def test_a_sidecar_that_crashes_again_and_again_is_told_though_the_flow_runs_on() -> None:
    shown = pod("a", {"running": {}})
    crash = {"exitCode": 7, "reason": "Error"}
    shown["status"]["containerStatuses"].append(
        {
            "name": "proxy",
            "state": {"running": {}},
            "lastState": {"terminated": crash},
            "restartCount": 3,
        }
    )
    _, line = Progress().news(Observation({"metadata": {"name": "job"}}, {"1": shown}))
    assert line == (
        "Container 'proxy' ended with exit code 7, in pod 'a' on node 'n'; restarts so far: 3"
    )


def many(count: int) -> dict[str, Any]:
    return {"metadata": {"name": "job"}, "spec": {"completions": count, "parallelism": count}}


def test_a_job_of_thousands_of_pods_fills_no_log() -> None:
    count = 5000
    job, progress, lines = many(count), Progress(), []
    job["status"] = {}
    states: list[dict[str, Any]] = [{"running": {}}, {"terminated": {"exitCode": 0}}]
    for field, state in zip(("ready", "succeeded"), states, strict=True):
        for number in range(count):
            job["status"] = {**job["status"], field: number + 1}
            shown = {str(number): pod(f"pod-{number}", state)}
            lines += list(progress.news(Observation(job, shown)))
        job["status"]["ready"] = 0
    assert len(lines) < 60
    # The first are told of as those of any Job.
    assert "Pod pod-0 runs the flow on node n" in lines
    assert "Pod pod-9 ended its flow with exit code 0" in lines
    assert "Of 5000 pods 500 run, 0 have succeeded and 0 have failed" in lines
    assert lines[-1] == "Of 5000 pods 0 run, 5000 have succeeded and 0 have failed"


def test_the_failures_among_thousands_of_pods_are_named_as_long_as_they_are_few() -> None:
    job, progress = many(100), Progress()
    running = {str(n): pod(f"pod-{n}", {"running": {}}) for n in range(100)}
    list(progress.news(Observation(job, running)))
    failed = {str(n): pod(f"pod-{n}", {"terminated": {"exitCode": 3}}) for n in range(50, 55)}
    lines = [f"Pod pod-{n} ended its flow with exit code 3" for n in range(50, 55)]
    assert list(progress.news(Observation(job, failed))) == lines
    assert list(progress.news(Observation(job, failed))) == []
    all_failed = {str(n): pod(f"pod-{n}", {"terminated": {"exitCode": 3}}) for n in range(20, 100)}
    assert len(list(progress.news(Observation(job, all_failed)))) == 5


def test_the_last_count_of_many_pods_is_told_when_the_job_is_over() -> None:
    job, progress = many(1000), Progress()
    running = {str(n): pod(f"pod-{n}", {"running": {}}) for n in range(1000)}
    job["status"] = {"ready": 1000}
    list(progress.news(Observation(job, running)))
    job["status"] = {"ready": 990, "succeeded": 7, "failed": 3}
    assert list(progress.news(Observation(job))) == []
    job["status"]["conditions"] = [{"type": "Failed", "status": "True"}]
    assert list(progress.news(Observation(job))) == [
        "Of 1000 pods 990 run, 7 have succeeded and 3 have failed"
    ]


def test_the_attempts_of_a_flow_are_counted_though_only_the_new_pod_is_shown() -> None:
    job = {"metadata": {"name": "job"}, "spec": {"backoffLimit": 6}}
    progress = Progress()
    for number in range(1, 4):
        shown = {str(number): pod(f"pod-{number}", {"running": {}})}
        (line,) = progress.news(Observation(job, shown))
    assert line == "Pod pod-3, attempt 3 of 7, runs the flow on node n"
