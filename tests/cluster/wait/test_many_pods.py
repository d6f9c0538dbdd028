"""A Job of many indexes is waited for as cheaply as one of one."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from flowjob.status.observation import Observation
from flowjob.status.outcome import Outcome
from flowjob.wait.flow_run_watch import watch_of
from flowjob.wait.until_end import wait_for_end
from tests.support.flow_runs import FlowRuns, Manifest
from tests.support.suspended_jobs import complete
from tests.support.unmanaged_jobs import ended, pod_manifest, running, unmanaged_job
from tests.support.wait import wait_for

COUNT = 100


def test_an_indexed_job_of_100_is_told_in_few_lines_and_a_change_is_shown_once(
    flow_runs: FlowRuns,
    batch_v1: Any,
    core_v1: Any,
    namespace: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "flowjob")
    job = unmanaged_job(flow_runs, COUNT)
    name = job["metadata"]["name"]
    pods = [pod_manifest(job, index) for index in range(COUNT)]
    # By pod: the phases that were shown.
    shown: dict[str, list[str]] = {}

    def see(news: Observation) -> None:
        for pod in news.pods.values():
            shown.setdefault(pod["metadata"]["name"], []).append(pod["status"]["phase"])

    async def wait(job: Manifest) -> Outcome:
        async with watch_of(flow_runs.cluster, job) as watch:
            _, outcome = await wait_for_end(
                flow_runs.cluster, watch, job, see, startup_timeout=None, wait_for="job"
            )
            return outcome

    def count(**counts: int) -> None:
        batch_v1.patch_namespaced_job_status(name, namespace, {"status": counts})

    outcome = flow_runs.loop.start(wait(job))
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda pod: core_v1.create_namespaced_pod(namespace, pod), pods))
        for status in (running(), ended()):

            def patch(pod: Manifest, status: dict[str, Any] = status) -> None:
                core_v1.patch_namespaced_pod_status(pod["metadata"]["name"], namespace, status)

            list(threads.map(patch, pods))
            phase = status["status"]["phase"]
            wait_for(lambda: sum(phase in each for each in shown.values()) == COUNT, phase)  # noqa: B023
            if phase == "Running":
                count(active=COUNT, ready=COUNT)
    count(active=0, ready=0, succeeded=COUNT)
    complete(batch_v1, job)
    assert outcome.result(30).status == "succeeded"
    # Each change, and all once more at the end.
    assert max(len(phases) for phases in shown.values()) <= 4
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("flowjob")]
    assert f"Of {COUNT} pods {COUNT} run, 0 have succeeded and 0 have failed" in lines
    assert lines[-1] == f"Of {COUNT} pods 0 run, {COUNT} have succeeded and 0 have failed"
    assert len(lines) < 60
