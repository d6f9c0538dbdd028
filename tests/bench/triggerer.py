"""`make bench-alone`: what thousands of waiting triggers cost, how soon they hear of an end.

The Jobs are suspended, so they need no pods; their ends are written to their status, which is real
to a watcher. Prints one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from kubernetes import client, config

from tests.bench.waiters import IDLE_SECONDS
from tests.support.audit import AuditLog
from tests.support.flow_runs import FlowRuns, Manifest
from tests.support.node.node import Node, running_node
from tests.support.node.progress import step
from tests.support.suspended_jobs import complete, suspended_job

NAMESPACE = "default"


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.triggerer", description=__doc__)
    parser.add_argument("--waiters", type=int, default=5000)
    parser.add_argument("--ends", type=int, default=1000)
    parser.add_argument("--per-second", type=int, default=100)
    arguments = parser.parse_args()
    with running_node() as node:
        print(json.dumps(measure(node, arguments.waiters, arguments.ends, arguments.per_second)))
    return 0


def measure(node: Node, waiters: int, ends: int, per_second: int) -> dict[str, Any]:
    connection = {"conn_type": "kubernetes", "extra": {"kube_config_path": str(node.kubeconfig)}}
    os.environ["AIRFLOW_CONN_BENCH"] = json.dumps(connection)
    with (
        step(f"Creating {waiters} Jobs"),
        FlowRuns("bench", NAMESPACE, "none") as runs,
        ThreadPoolExecutor(16) as threads,
    ):
        jobs = list(threads.map(lambda _: suspended_job(runs), range(waiters)))
    audit = AuditLog(node.audit_log)
    mark = audit.position()
    with step(f"Waiting for them, {IDLE_SECONDS} s of it idle"):
        process = start_waiters(jobs)
        assert process.stdout is not None
        facts: dict[str, Any] = json.loads(process.stdout.readline())
        facts["requests_until_idle"] = audit.count(since=mark, user_agent="flowjob/")
        idle = audit.position()
        facts |= json.loads(process.stdout.readline())
        facts["requests_while_idle"] = audit.count(since=idle, user_agent="flowjob/")
    seen: dict[str, float] = {}
    reader = threading.Thread(target=read_events, args=(process, seen))
    reader.start()
    with step(f"Ending {ends} of them, {per_second} a second"):
        ended = end_jobs(node, jobs[1 : ends + 1], per_second)
        deadline = time.monotonic() + 30
        while len(seen) < ends and time.monotonic() < deadline:
            time.sleep(0.1)
    process.kill()
    reader.join()
    lags = sorted(seen[name] - at for name, at in ended.items() if name in seen)
    return facts | {
        "waiters": waiters,
        "events": len(lags),
        "lag_p50": statistics.median(lags),
        "lag_p95": lags[int(len(lags) * 0.95)],
        "lag_max": lags[-1],
        "ends_per_second": ends / (max(ended.values()) - min(ended.values())),
    }


def start_waiters(jobs: list[Manifest]) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.waiters"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    names = ("name", "namespace", "uid", "labels")
    metadata = [{name: job["metadata"][name] for name in names} for job in jobs]
    process.stdin.write(json.dumps(metadata) + "\n")
    process.stdin.flush()
    return process


def read_events(process: subprocess.Popen[str], seen: dict[str, float]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        event = json.loads(line)
        seen[event["event"]] = event["at"]


def end_jobs(node: Node, jobs: list[Manifest], per_second: int) -> dict[str, float]:
    """End the Jobs at a steady rate; return when the API server had taken each end."""
    ended: dict[str, float] = {}
    batch = client.BatchV1Api(config.new_client_from_config(str(node.kubeconfig)))
    start = time.monotonic()

    def end(number: int) -> None:
        time.sleep(max(start + number / per_second - time.monotonic(), 0))
        complete(batch, jobs[number])
        ended[jobs[number]["metadata"]["name"]] = time.time()

    with ThreadPoolExecutor(16) as threads:
        list(threads.map(end, range(len(jobs))))
    return ended


if __name__ == "__main__":
    sys.exit(main())
