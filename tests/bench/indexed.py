"""`make bench-alone`: how long one Job of thousands of pods holds up the loop that waits for it.

No node runs the pods; their states are written, which is real to a watcher, by a process of its
own: what it leaves to the garbage collector is no fault of the loop's. Half of the pods are there
when the wait begins, and come in a list; the others, and each change, come as events. Prints one
line of JSON.
"""

from __future__ import annotations

import argparse
import gc
import json
import logging
import multiprocessing
import os
import sys
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from kubernetes import client, config

from flowjob.logs.follow import FlowLog
from flowjob.logs.selection import LogSelection
from flowjob.logs.tails import PodTails
from flowjob.status.observation import Observation
from flowjob.status.outcome import Outcome
from flowjob.wait.flow_run_watch import watch_of
from flowjob.wait.until_end import wait_for_end
from tests.support.flow_runs import FlowRuns, Manifest
from tests.support.loop_hold import longest_hold
from tests.support.node.node import Node, running_node
from tests.support.node.progress import step
from tests.support.suspended_jobs import complete
from tests.support.unmanaged_jobs import ended, pod_manifest, running, unmanaged_job
from tests.support.wait import wait_for

NAMESPACE = "default"
_THREADS = 8
_PATIENCE = 120


class Lines(logging.Handler):
    """Counts what the wait tells in the task's log."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.count = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.count += 1


class Wait:
    """Waits for one Job, measured.

    :param follows_logs: as in a worker; else as in a triggerer.
    """

    def __init__(self, runs: FlowRuns, job: Manifest, *, follows_logs: bool) -> None:
        self._runs = runs
        self._job = job
        self._follows_logs = follows_logs
        # By pod: the phase that was shown last.
        self.phases: dict[str, str] = {}
        self.hold = self.cpu = 0.0

    async def run(self) -> Outcome:
        cluster = self._runs.cluster
        flow_log = FlowLog(cluster, LogSelection(by_pod=True), lambda line: None)
        async with (
            PodTails(cluster, LogSelection()) as tails,
            watch_of(cluster, self._job) as watch,
            longest_hold() as hold,
        ):
            see_log = flow_log.see if self._follows_logs else tails.see

            def see(news: Observation) -> None:
                see_log(news)
                for uid, pod in news.pods.items():
                    self.phases[uid] = pod["status"]["phase"]

            before = time.thread_time()
            try:
                _, outcome = await wait_for_end(
                    cluster, watch, self._job, see, startup_timeout=3600, wait_for="job"
                )
                if self._follows_logs:
                    await flow_log.finish()
            finally:
                await flow_log.close()
            self.hold, self.cpu = hold.seconds, time.thread_time() - before
            return outcome


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.indexed", description=__doc__)
    parser.add_argument("--pods", type=int, default=5000)
    parser.add_argument("--follow-logs", action="store_true", help="wait as a worker does")
    arguments = parser.parse_args()
    with running_node() as node:
        print(json.dumps(measure(node, arguments.pods, follows_logs=arguments.follow_logs)))
    return 0


def _write(kubeconfig: Path, request: str, *arguments: list[Any]) -> None:
    """Send the API server a request of the client's for each of the arguments, many at a time."""
    core = client.CoreV1Api(config.new_client_from_config(str(kubeconfig)))
    with ThreadPoolExecutor(_THREADS) as threads:
        list(threads.map(getattr(core, request), *arguments))


def measure(node: Node, count: int, *, follows_logs: bool) -> dict[str, Any]:
    connection = {"conn_type": "kubernetes", "extra": {"kube_config_path": str(node.kubeconfig)}}
    os.environ["AIRFLOW_CONN_BENCH"] = json.dumps(connection)
    api = config.new_client_from_config(str(node.kubeconfig))
    batch = client.BatchV1Api(api)
    lines = Lines()
    logging.getLogger("flowjob").addHandler(lines)
    logging.getLogger("flowjob").setLevel(logging.INFO)
    spawn = multiprocessing.get_context("spawn")
    with (
        FlowRuns("bench", NAMESPACE, "none") as runs,
        ProcessPoolExecutor(1, mp_context=spawn) as writer,
    ):
        job = unmanaged_job(runs, count)
        name = job["metadata"]["name"]
        pods = [pod_manifest(job, index) for index in range(count)]
        names = [pod["metadata"]["name"] for pod in pods]

        def write(request: str, *arguments: list[Any]) -> None:
            writer.submit(_write, node.kubeconfig, request, *arguments).result()

        def create(pods: list[Manifest]) -> None:
            write("create_namespaced_pod", [NAMESPACE] * len(pods), pods)

        with step(f"Creating {count // 2} pods"):
            create(pods[: count // 2])
        # What the imports left is no fault of the loop's.
        gc.collect()
        gc.freeze()
        wait = Wait(runs, job, follows_logs=follows_logs)
        outcome = runs.loop.start(wait.run())
        with step("Creating the others while the first are waited for"):
            create(pods[count // 2 :])
            wait_for(lambda: len(wait.phases) == count, "all pods to be seen", _PATIENCE)
        for status, counts in (
            (running(), {"active": count, "ready": count}),
            (ended(), {"active": 0, "ready": 0, "succeeded": count}),
        ):
            phase = status["status"]["phase"]

            def all_are_seen(phase: str = phase) -> bool:
                return set(wait.phases.values()) == {phase}

            with step(f"Making all {phase}"):
                write("patch_namespaced_pod_status", names, [NAMESPACE] * count, [status] * count)
                wait_for(all_are_seen, f"all pods to be seen as {phase}", _PATIENCE)
            batch.patch_namespaced_job_status(name, NAMESPACE, {"status": counts})
        complete(batch, job)
        end = outcome.result(_PATIENCE)
    return {
        "pods": count,
        "outcome": end.status,
        "longest_hold": wait.hold,
        "cpu_per_pod": wait.cpu / count,
        "lines": lines.count,
    }


if __name__ == "__main__":
    sys.exit(main())
