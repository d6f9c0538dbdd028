"""What a flow run has beside its Job begins before it, and ends with it."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from flowjob.exceptions import FlowRunCancelledError, RequestStoppedError
from flowjob.flow_run import FlowRun, annotate, annotation
from flowjob.kubernetes_object import KubernetesObject
from flowjob.launch.execution import Execution
from tests.support.flow_runs import FlowRuns, new_flow_run
from tests.support.wait import wait_for


class Companion:
    """Writes down what it is told to do."""

    def __init__(self, manifest: KubernetesObject, *, waits: bool = False) -> None:
        self.begun = 0
        self.ended: list[str | None] = []
        self._manifest = manifest
        self._waits = waits

    async def begin(self, stop: asyncio.Event) -> tuple[KubernetesObject, None]:
        self.begun += 1
        if self._waits:
            await stop.wait()
            raise RequestStoppedError("stopped")
        annotate(self._manifest, "companion", "begun")
        return self._manifest, None

    async def end(self, job: KubernetesObject | None) -> None:
        self.ended.append(job["metadata"]["name"] if job else None)


def accompanied(
    flow_runs: FlowRuns, flow_run: FlowRun, *, waits: bool = False
) -> tuple[Execution, Companion, KubernetesObject]:
    manifest = flow_runs.manifest("sleep 600", flow_run=flow_run)
    execution = Execution(flow_runs.cluster)
    execution.companion = companion = Companion(manifest, waits=waits)
    return execution, companion, manifest


def later_try(flow_run: FlowRun, max_tries: int = 0) -> FlowRun:
    flow_run_id = new_flow_run().flow_run_id
    return replace(flow_run, flow_run_id=flow_run_id, try_number=2, max_tries=max_tries)


def test_the_job_names_what_began_before_it_and_a_kill_ends_both(flow_runs: FlowRuns) -> None:
    flow_run = new_flow_run()
    execution, companion, manifest = accompanied(flow_runs, flow_run)
    job = flow_runs.loop.run(execution.launch(flow_run, manifest))
    assert annotation(job, "companion") == "begun"
    flow_runs.loop.run(execution.kill())
    assert (companion.begun, companion.ended) == (1, [job["metadata"]["name"]])


def test_a_kill_while_it_begins_leaves_no_job(flow_runs: FlowRuns) -> None:
    flow_run = new_flow_run()
    execution, companion, manifest = accompanied(flow_runs, flow_run, waits=True)
    launching = flow_runs.loop.start(execution.launch(flow_run, manifest))
    wait_for(lambda: companion.begun, "it to begin")
    flow_runs.loop.run(execution.kill())
    with pytest.raises(FlowRunCancelledError, match="has no Job"):
        launching.result(30)
    assert companion.ended == [None]


def test_a_try_that_adopts_a_job_begins_nothing_of_its_own(flow_runs: FlowRuns) -> None:
    flow_run = new_flow_run()
    execution, _, manifest = accompanied(flow_runs, flow_run)
    job = flow_runs.loop.run(execution.launch(flow_run, manifest))
    again = later_try(flow_run)
    execution, companion, manifest = accompanied(flow_runs, again)
    adopted = flow_runs.loop.run(execution.launch(again, manifest))
    assert adopted["metadata"]["uid"] == job["metadata"]["uid"]
    flow_runs.loop.run(execution.kill())
    assert (companion.begun, companion.ended) == (0, [job["metadata"]["name"]])


def test_a_job_that_is_in_the_way_takes_along_what_is_beside_it(flow_runs: FlowRuns) -> None:
    flow_run = new_flow_run()
    execution, _, manifest = accompanied(flow_runs, flow_run)
    stale = flow_runs.loop.run(execution.launch(flow_run, manifest))
    cleared = later_try(flow_run, max_tries=5)
    execution, companion, manifest = accompanied(flow_runs, cleared)
    flow_runs.loop.run(execution.launch(cleared, manifest, limit=60))
    assert (companion.begun, companion.ended) == (1, [stale["metadata"]["name"]])
    flow_runs.loop.run(execution.kill())
