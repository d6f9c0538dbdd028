"""The last lines of pods that the cluster takes away, and of how many."""

from __future__ import annotations

from typing import Any

import pytest

from flowjob.cluster.api_server import Cluster
from flowjob.logs.selection import LogSelection
from flowjob.logs.tails import PodTails
from flowjob.status.observation import Observation
from flowjob.worker.loop_thread import LoopThread
from tests.support.fake_api_server import Answer, FakeApiServer, Manifest, job

FAILING = {"conditions": [{"type": "FailureTarget", "status": "True"}]}
LINE = b"2026-01-01T00:00:01.000000001Z asked to end\n"


def pod(number: int, phase: str = "Running", **metadata: Any) -> Manifest:
    statuses = [{"name": "flow-container", "restartCount": 0, "state": {"running": {}}}]
    return {
        "metadata": {"name": f"sales-{number}", "namespace": "flows", "uid": str(number)}
        | metadata,
        "spec": {"restartPolicy": "Never", "containers": [{"name": "flow-container"}]},
        "status": {"phase": phase, "containerStatuses": statuses},
    }


async def told(cluster: Cluster, *pods: Manifest) -> list[str]:
    observation = Observation(job("sales") | {"status": FAILING})
    observation.pods.update({each["metadata"]["uid"]: each for each in pods})
    async with PodTails(cluster, LogSelection()) as tails:
        tails.see(observation)
        observation.job_gone = True
        return (await tails.taken(observation)).lines


@pytest.fixture
def server(server: FakeApiServer) -> FakeApiServer:
    server.tell("GET", "/log", Answer(LINE))
    return server


def test_of_a_thousand_pods_some_are_read_and_of_the_others_it_is_said_that_they_are_not(
    cluster: Cluster, server: FakeApiServer, loop: LoopThread
) -> None:
    lines = loop.run(told(cluster, *map(pod, range(1000))))
    assert server.count("GET", "/log") == 10
    assert lines.count("asked to end") == 10
    assert lines[-1] == "The cluster takes 990 more pods away, and their last lines are not kept"


def test_pods_that_had_ended_before_take_the_place_of_none_that_is_taken_away(
    cluster: Cluster, server: FakeApiServer, loop: LoopThread
) -> None:
    ended = [pod(number, "Succeeded") for number in range(50)]
    lines = loop.run(told(cluster, *ended, pod(50)))
    assert [each.path.split("/")[-2] for each in server.asked] == ["sales-50"]
    assert lines[-1] == "asked to end"
