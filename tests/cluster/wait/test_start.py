"""Flow runs that start late, at the second attempt, or whose first end is what was wanted."""

from __future__ import annotations

import logging
import time
from datetime import datetime, tzinfo
from typing import Any

import pytest
import yaml

from tests.support.cluster import Cluster
from tests.support.flow_runs import SPEC, FlowRuns
from tests.support.wait import wait_for

# Makes the command that the flow container runs, but at the second attempt only.
SECOND_TIME = (
    "if [ -e /state/seen ]; then printf '#!/bin/sh\\necho at last\\n' > /state/run; "
    "chmod +x /state/run; fi; touch /state/seen"
)


def spec(image: str, *, init: str = "", job: dict[str, Any] | None = None, **pod: Any) -> str:
    """Return a Job spec with a script as init container."""
    content = yaml.safe_load(SPEC)
    content["spec"].update(job or {})
    content["spec"]["template"]["spec"].update(pod)
    if init:
        container = {"name": "first", "image": image, "command": ["sh", "-c", init]}
        content["spec"]["template"]["spec"]["initContainers"] = [container]
    return yaml.safe_dump(content)


def test_a_start_that_fails_once_is_left_to_the_jobs_own_attempts(
    flow_runs: FlowRuns, cluster: Cluster, namespace: str
) -> None:
    path = {"path": f"/tmp/{namespace}", "type": "DirectoryOrCreate"}
    text = spec(
        cluster.shell_image,
        init=SECOND_TIME,
        job={"backoffLimit": 3},
        volumes=[{"name": "state", "hostPath": path}],
    )
    manifest = flow_runs.manifest("", text)
    pod = manifest["spec"]["template"]["spec"]
    for container in (*pod["initContainers"], *pod["containers"]):
        container["volumeMounts"] = [{"name": "state", "mountPath": "/state"}]
    pod["containers"][0]["command"] = ["/state/run"]
    outcome = flow_runs.wait(flow_runs.create(manifest), startup_timeout=120)
    assert (outcome.status, outcome.exit_code) == ("succeeded", 0)
    assert flow_runs.lines[-1] == "at last"


def test_what_a_slow_start_waits_for_is_said_again_and_again(
    flow_runs: FlowRuns,
    cluster: Cluster,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "flowjob")
    monkeypatch.setattr("flowjob.wait.until_end.REMINDER", 1)
    text, began = spec(cluster.shell_image, init="sleep 6"), time.monotonic()
    assert flow_runs.run("echo done", text).status == "succeeded"
    told = [line for line in caplog.messages if "has not started yet" in line]
    assert 2 <= len(told) <= time.monotonic() - began
    named = [line for line in told if "init container 'first' " in line]
    assert len(named) >= 2
    assert all("has run since 20" in line for line in named)
    assert flow_runs.lines == ["done"]


def test_a_pull_that_goes_on_is_named(flow_runs: FlowRuns, core_v1: Any, namespace: str) -> None:
    # No registry here is slow enough: the kubelet's event of a pull is written.
    manifest = flow_runs.manifest("true")
    manifest["spec"]["template"]["spec"]["schedulerName"] = "none"
    job = flow_runs.create(manifest)

    def pods() -> list[Any]:
        return list(core_v1.list_namespaced_pod(namespace).items)

    pod = wait_for(pods, "the pod")[0]
    about = {"kind": "Pod", "name": pod.metadata.name, "namespace": namespace}
    core_v1.create_namespaced_event(
        namespace,
        {
            "metadata": {"generateName": "pull-"},
            "involvedObject": {**about, "uid": pod.metadata.uid},
            "type": "Normal",
            "reason": "Pulling",
            "message": 'Pulling image "flows:1"',
            "lastTimestamp": "2026-01-01T00:00:00Z",
        },
    )
    outcome = flow_runs.wait(job, startup_timeout=2)
    assert outcome.reason == "Pulling"
    assert 'Pulling image "flows:1" since 2026-01-01T00:00:00Z' in str(outcome.message)


@pytest.mark.parametrize("policy", ["Never", "OnFailure"])
def test_an_exit_code_that_ends_the_flow_run_ends_it_at_the_first_attempt(
    flow_runs: FlowRuns, policy: str
) -> None:
    text = SPEC.replace("backoffLimit: 0", "backoffLimit: 6").replace("Never", policy)
    job = flow_runs.create(flow_runs.manifest("echo nothing to do; exit 99", text))
    started = time.monotonic()
    outcome = flow_runs.wait(job, exit_codes={98, 99})
    assert time.monotonic() - started < 30
    assert (outcome.status, outcome.exit_code, outcome.job_is_active) == ("failed", 99, True)
    assert flow_runs.lines.count("nothing to do") in (1, 2)


def test_a_job_that_ends_by_itself_with_such_an_exit_code_is_not_one_to_delete(
    flow_runs: FlowRuns,
) -> None:
    job = flow_runs.create(flow_runs.manifest("exit 99"))
    outcome = flow_runs.wait(job, exit_codes={99})
    assert (outcome.status, outcome.exit_code, outcome.job_is_active) == ("failed", 99, False)


@pytest.fixture
def fast_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the clock that the product reads 15 minutes ahead."""
    now = time.time

    class Ahead(datetime):
        @classmethod
        def now(cls, zone: tzinfo | None = None) -> datetime:  # type: ignore[override]
            return datetime.fromtimestamp(now() + 900, zone)

    monkeypatch.setattr("flowjob.cluster.transport.time.time", lambda: now() + 900)
    monkeypatch.setattr("flowjob.cluster.transport.datetime", Ahead)


@pytest.mark.usefixtures("fast_clock")
def test_a_worker_whose_clock_is_wrong_gives_a_flow_its_time_to_start(
    flow_runs: FlowRuns, cluster: Cluster
) -> None:
    text = spec(cluster.shell_image, init="sleep 3")
    job = flow_runs.create(flow_runs.manifest("true", text))
    assert flow_runs.wait(job, startup_timeout=60).status == "succeeded"
