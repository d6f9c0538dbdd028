"""`make bench-alone`: what waiting for a flow run costs where thousands of ended Jobs are kept.

The Jobs are suspended, so they need no pods; their ends are written to their status, which is real
to a watcher. Prints one line of JSON for each number of kept Jobs, the last with ratios.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from kubernetes import client, config

from flowjob.flow_run import FLOW_RUN_ID_LABEL
from flowjob.wait.flow_run_watch import FlowRunWatch
from flowjob.wait.until_end import wait_for_end
from tests.support.audit import AuditLog
from tests.support.flow_runs import FlowRuns
from tests.support.node.node import Node, running_node
from tests.support.node.progress import step
from tests.support.suspended_jobs import complete, suspended_job

NAMESPACE = "default"
_FLOW_RUNS = 20


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.kept", description=__doc__)
    parser.add_argument("--kept", type=int, nargs=2, default=(10, 10_000))
    arguments = parser.parse_args()
    with running_node() as node:
        few, many = (measure(node, kept) for kept in arguments.kept)
        print(json.dumps(few))
        print(json.dumps(many | {"ratios": {key: many[key] / few[key] for key in few}}))
    return 0


def measure(node: Node, kept: int) -> dict[str, float]:
    """Wait for some flow runs, one after the other, beside so many Jobs that have ended."""
    connection = {"conn_type": "kubernetes", "extra": {"kube_config_path": str(node.kubeconfig)}}
    os.environ["AIRFLOW_CONN_BENCH"] = json.dumps(connection)
    batch = client.BatchV1Api(config.new_client_from_config(str(node.kubeconfig)))
    audit = AuditLog(node.audit_log)
    with FlowRuns("bench", NAMESPACE, "none") as runs, ThreadPoolExecutor(8) as threads:
        with step(f"Ending Jobs until {kept} are kept"):
            missing = kept - len(batch.list_namespaced_job(NAMESPACE).items)

            def keep(_: int) -> None:
                complete(batch, suspended_job(runs))

            list(threads.map(keep, range(missing)))

        async def wait() -> tuple[float, float]:
            """Return the seconds until the end is known, and those of this process's CPU."""
            job = await asyncio.to_thread(suspended_job, runs)
            await asyncio.to_thread(complete, batch, job)
            began, cpu = time.monotonic(), time.thread_time()
            async with FlowRunWatch(runs.cluster, NAMESPACE, FLOW_RUN_ID_LABEL) as watch:
                await wait_for_end(
                    runs.cluster, watch, job, lambda _: None, startup_timeout=None, wait_for="job"
                )
            return time.monotonic() - began, time.thread_time() - cpu

        mark = audit.position()
        with step(f"Waiting for {_FLOW_RUNS} flow runs beside them"):
            costs: list[tuple[float, float]] = [runs.loop.run(wait()) for _ in range(_FLOW_RUNS)]
        requests = audit.count(since=mark, user_agent="flowjob/")
    facts: dict[str, Any] = {
        "kept": kept,
        "seconds": statistics.median(cost[0] for cost in costs),
        "cpu_seconds": statistics.median(cost[1] for cost in costs),
        "requests": requests / _FLOW_RUNS,
    }
    return facts


if __name__ == "__main__":
    raise SystemExit(main())
