"""Many deferred waits of one kind in a process of their own: what they cost, what they hear.

What they wait for is real to a watcher, but needs no pods: suspended Jobs, and pods that no node
cares for. Their ends are written to their status.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from kubernetes import client, config

from tests.bench.accounts import NAMESPACE, Accounts
from tests.bench.contenders import CONTAINER, POD, Contender
from tests.support.flow_runs import FlowRuns, Manifest
from tests.support.node.node import Node
from tests.support.node.progress import step
from tests.support.suspended_jobs import complete, suspended_job
from tests.support.unmanaged_jobs import ended, running
from tests.support.wait import wait_for

_THREADS = 16
# Seconds: for all ends to be heard, and for what was waited for to be gone.
_HEARD, _GONE = 60.0, 300.0


@dataclass(frozen=True)
class Waited:
    """What the waits have cost, and the seconds from each end to its event.

    :param memory: MiB of the process that waits; `memory_of_waits` is what they added.
    :param cpu: of one core, 1 is all of it.
    :param unheard: ends of which nothing was heard within a minute.
    """

    requests_a_minute: float
    cpu: float
    memory: float
    memory_of_waits: float
    lags: tuple[float, ...]
    unheard: int


class Waiting:
    """Waits by one contender on a node of the bench's own, each time for new Jobs or pods."""

    def __init__(self, node: Node, accounts: Accounts, contender: Contender) -> None:
        self._accounts, self._contender = accounts, contender
        self._account = contender.key.replace("_", "-")
        self._conn_id = f"bench_{contender.key}"
        # Of this process, too, which makes the Jobs.
        os.environ |= accounts.connection(self._conn_id, self._account)
        settings = client.Configuration()
        settings.connection_pool_maxsize = _THREADS
        config.load_kube_config(str(node.kubeconfig), client_configuration=settings)
        api = client.ApiClient(settings)
        self._batch, self._core = client.BatchV1Api(api), client.CoreV1Api(api)

    def measure(self, count: int, ends: int, per_second: float) -> Waited:
        """Let so many wait, and end some of them at a steady rate."""
        name = self._contender.name
        with step(f"{name}: making what {count} waits are for"):
            objects = self._make(count)
        with step(f"{name}: {count} waits"):
            return self._measure(objects, ends, per_second)

    def remove(self) -> None:
        """Remove what was waited for."""
        delete: Callable[..., Any] = self._batch.delete_collection_namespaced_job
        page: Callable[..., Any] = self._batch.list_namespaced_job
        if self._contender == POD:
            delete = self._core.delete_collection_namespaced_pod
            page = self._core.list_namespaced_pod

        def is_gone() -> bool:
            if not page(NAMESPACE, limit=1).items:
                return True
            delete(NAMESPACE, grace_period_seconds=0, propagation_policy="Background")
            return False

        with step(f"{self._contender.name}: removing it"):
            wait_for(is_gone, "nothing to be left", _GONE, interval=1)

    def _measure(self, objects: Sequence[Manifest], ends: int, per_second: float) -> Waited:
        process = start_waiters(objects, self._contender, self._conn_id)
        try:
            assert process.stdout is not None
            facts: dict[str, float] = json.loads(process.stdout.readline())
            mark = self._accounts.position()
            facts |= json.loads(process.stdout.readline())
            asked = self._accounts.requests(self._account, mark).total()
            seen: dict[str, float] = {}
            reader = threading.Thread(target=_read_events, args=(process, seen))
            reader.start()
            end_one = self._end_pod if self._contender == POD else self._end_job
            ended_at = end_steadily(objects[1 : ends + 1], per_second, end_one)
            deadline = time.monotonic() + _HEARD
            while not ended_at.keys() <= seen.keys() and time.monotonic() < deadline:
                time.sleep(0.1)
        finally:
            process.kill()
        reader.join()
        lags = sorted(seen[name] - at for name, at in ended_at.items() if name in seen)
        return Waited(
            requests_a_minute=asked * 60 / facts["seconds"],
            cpu=facts["cpu"],
            memory=facts["memory"],
            memory_of_waits=facts["memory_of_waits"],
            lags=tuple(round(lag, 4) for lag in lags),
            unheard=len(ended_at) - len(lags),
        )

    def _make(self, count: int) -> list[Manifest]:
        with ThreadPoolExecutor(_THREADS) as threads:
            if self._contender == POD:
                return list(threads.map(self._make_pod, range(count)))
            with FlowRuns(self._conn_id, NAMESPACE, "none") as runs:
                return list(threads.map(lambda _: suspended_job(runs), range(count)))

    def _make_pod(self, number: int) -> Manifest:
        name = f"bench-{number}"
        container = {"name": CONTAINER, "image": "none"}
        spec = {"schedulerName": "nobody", "containers": [container]}
        self._core.create_namespaced_pod(NAMESPACE, {"metadata": {"name": name}, "spec": spec})
        self._core.patch_namespaced_pod_status(name, NAMESPACE, running())
        return {"metadata": {"name": name, "namespace": NAMESPACE, "uid": "", "labels": {}}}

    def _end_job(self, job: Manifest) -> None:
        complete(self._batch, job)

    def _end_pod(self, pod: Manifest) -> None:
        self._core.patch_namespaced_pod_status(pod["metadata"]["name"], NAMESPACE, ended())


def start_waiters(
    objects: Sequence[Manifest], contender: Contender, conn_id: str
) -> subprocess.Popen[str]:
    """Start the process in which a contender waits for these."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.waiters", contender.key, conn_id],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    names = ("name", "namespace", "uid", "labels")
    metadata = [{name: each["metadata"][name] for name in names} for each in objects]
    process.stdin.write(json.dumps(metadata) + "\n")
    process.stdin.flush()
    return process


def end_steadily(
    objects: Sequence[Manifest], per_second: float, end_one: Callable[[Manifest], None]
) -> dict[str, float]:
    """End these at a steady rate; return when the API server had taken each end."""
    ended_at: dict[str, float] = {}
    start = time.monotonic()

    def end(number: int) -> None:
        time.sleep(max(start + number / per_second - time.monotonic(), 0))
        end_one(objects[number])
        ended_at[objects[number]["metadata"]["name"]] = time.time()

    with ThreadPoolExecutor(_THREADS) as threads:
        list(threads.map(end, range(len(objects))))
    return ended_at


def _read_events(process: subprocess.Popen[str], seen: dict[str, float]) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        event = json.loads(line)
        # What has failed has heard of no end.
        if event["status"] not in ("error", "timeout"):
            seen[event["event"]] = event["at"]
