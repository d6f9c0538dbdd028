"""Of several tries that have workers at once, one has a Job in the end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flowjob.exceptions import ClusterError
from flowjob.flow_run import FlowRun
from flowjob.kubernetes_object import KubernetesObject
from flowjob.launch.execution import Execution
from flowjob.timeouts import LAUNCH_AT_ONCE
from tests.support.cluster import Cluster
from tests.support.flow_runs import FlowRuns, connect, new_flow_run
from tests.support.reverse_proxy import ReverseProxy
from tests.support.wait import wait_for

# Airflow's ids of tries begin with the time.
FIRST = replace(new_flow_run(), flow_run_id="01a21400-1bef-7395-b3cb-182f9cc2c959")
AGAIN = replace(FIRST, flow_run_id="01a21400-4400-7921-aa1b-3c26d7cbe704", dag_run_start="later")
RETRY = replace(FIRST, flow_run_id="01a21400-4400-7921-aa1b-3c26d7cbe704", try_number=2)


class Launch:
    """A worker that is about to create its Job, and that the API server keeps waiting."""

    def __init__(self, runs: FlowRuns, proxy: ReverseProxy, flow_run: FlowRun) -> None:
        self._runs = runs
        self._hold = proxy.hold_request("POST", "/jobs")
        self.manifest = runs.manifest("sleep 600", flow_run=flow_run)
        self.execution = Execution(runs.cluster)
        self.job: Future[KubernetesObject] = runs.loop.start(
            self.execution.launch(flow_run, self.manifest)
        )
        self._hold.wait_until_reached()
        self._second_look = proxy.hold_request("GET", "/jobs")

    def let_go(self, batch_v1: Any) -> None:
        """Let the API server have the Job, and wait until it does."""
        self._hold.let_go()
        metadata = self.manifest["metadata"]

        def is_there() -> bool:
            jobs = batch_v1.list_namespaced_job(metadata["namespace"]).items
            return metadata["name"] in [job.metadata.name for job in jobs]

        wait_for(is_there, f"the Job {metadata['name']}")

    def let_look(self) -> None:
        """Let it see what other tries have launched meanwhile."""
        self._second_look.let_go()

    def lose_request(self) -> None:
        """Break the request off, which is sent again."""
        self._hold.lose()


@pytest.fixture
def launch(
    cluster: Cluster, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Any]:
    """Return a function that has a worker launch a flow run, as far as its create."""
    with ExitStack() as ending:

        def begin(flow_run: FlowRun) -> Launch:
            folder = tmp_path / flow_run.flow_run_id
            folder.mkdir()
            proxy = ending.enter_context(ReverseProxy(cluster.kubeconfig, folder))
            name = flow_run.flow_run_id.replace("-", "_")
            connection = connect(proxy.kubeconfig, monkeypatch, name)
            runs = ending.enter_context(FlowRuns(connection, namespace, cluster.shell_image))
            return Launch(runs, proxy, flow_run)

        yield begin


@pytest.mark.parametrize("later", [AGAIN, RETRY], ids=["a run that was made again", "a retry"])
@pytest.mark.parametrize("is_first", [True, False], ids=["created first", "created last"])
def test_of_two_tries_that_launch_at_once_the_later_ones_job_stays(
    launch: Any, batch_v1: Any, namespace: str, later: FlowRun, is_first: bool
) -> None:
    launches = [launch(FIRST), launch(later)]
    given_up, kept = launches
    # Both have looked, and found nothing. The sleep is the outage that holds them up, and no wait
    # for something: only a launch that takes longer looks again.
    time.sleep(LAUNCH_AT_ONCE)
    for each in reversed(launches) if is_first else launches:
        each.let_go(batch_v1)
    for each in launches:
        each.let_look()
    assert kept.job.result(20)["metadata"]["name"] == kept.manifest["metadata"]["name"]
    with pytest.raises(ClusterError, match="a later try has launched the Job"):
        given_up.job.result(20)

    def one_is_left() -> bool:
        names = [job.metadata.name for job in batch_v1.list_namespaced_job(namespace).items]
        return names == [kept.manifest["metadata"]["name"]]

    wait_for(one_is_left, "one Job to be left")


def test_a_worker_that_is_to_end_launches_no_job_beside_the_next_tries(
    launch: Any, batch_v1: Any, namespace: str
) -> None:
    ended = launch(FIRST)
    ended.execution.leave()
    ended.lose_request()
    with pytest.raises(ClusterError, match="a later try launches the Job"):
        ended.job.result(20)
    assert batch_v1.list_namespaced_job(namespace).items == []
