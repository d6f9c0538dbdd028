"""A triggerer of twenty thousand waits that is started again.

The Jobs are suspended, so they need no pods; their ends are written to their status, which is real
to a watcher. FLOWJOB_WAITS is for a machine that bears fewer.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import partial
from typing import Any

import pytest

from tests.bench.contenders import OURS
from tests.bench.waiting import end_steadily, start_waiters
from tests.support.audit import AuditLog
from tests.support.cluster import Cluster
from tests.support.flow_runs import FlowRuns, Manifest, connect
from tests.support.suspended_jobs import complete, suspended_job
from tests.support.wait import wait_for

WAITS = int(os.environ.get("FLOWJOB_WAITS", "20000"))
# Seconds until it is whole, and requests that it may send for that.
WHOLE = 60
LISTS = 200
# Seconds that all else may take.
SETTLING = 300
# As many of the Jobs, from all over, end while the triggerer is away, and as many afterwards.
SAMPLE = 200
CONNECTION = "bench"
PER_SECOND = 50

pytestmark = pytest.mark.alone


class Triggerer:
    """A process with all the waits, and what it heard of."""

    def __init__(self, jobs: list[Manifest]) -> None:
        self._process = start_waiters(jobs, OURS, CONNECTION)
        # When it heard of the end of each Job, in seconds since the epoch.
        self.heard: dict[str, float] = {}
        self.facts: dict[str, Any] = {}
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def wait_until_heard(self, ended: dict[str, float], seconds: float) -> None:
        def all_heard() -> bool:
            return not ended.keys() - self.heard.keys()

        wait_for(all_heard, f"{len(ended)} ends to be heard of", seconds)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        self._reader.join()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            told = json.loads(line)
            if "event" in told:
                self.heard[told["event"]] = told["at"]
            else:
                self.facts |= told


@contextmanager
def triggerer(jobs: list[Manifest]) -> Iterator[Triggerer]:
    running = Triggerer(jobs)
    try:
        yield running
    finally:
        running.stop()


def sample(jobs: list[Manifest], first: int) -> list[Manifest]:
    """Return Jobs from all over; with another first one, others."""
    return jobs[first :: len(jobs) // SAMPLE][:SAMPLE]


def is_suspended(batch_v1: Any, job: Manifest) -> bool:
    metadata = job["metadata"]
    found = batch_v1.read_namespaced_job(metadata["name"], metadata["namespace"])
    return any(each.type == "Suspended" for each in found.status.conditions or [])


def test_a_triggerer_of_twenty_thousand_waits_is_whole_a_minute_after_it_was_started_again(
    cluster: Cluster,
    namespace: str,
    audit_log: AuditLog,
    batch_v1: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    connection = connect(cluster.kubeconfig, monkeypatch, CONNECTION)
    end = partial(complete, batch_v1)
    with FlowRuns(connection, namespace, "none") as runs, ThreadPoolExecutor(16) as threads:
        jobs = list(threads.map(lambda _: suspended_job(runs), range(WAITS)))
    # The Job controller takes minutes to see thousands: none of what is measured.
    wait_for(lambda: is_suspended(batch_v1, jobs[-1]), "the Job controller", SETTLING, 1)
    with triggerer(jobs) as first:
        before = end_steadily(sample(jobs, 1), PER_SECOND, end)
        first.wait_until_heard(before, SETTLING)
    away = end_steadily(sample(jobs, 2), PER_SECOND, end)
    mark, begun = audit_log.position(), time.time()
    # Those that ended before have been resumed.
    with triggerer([job for job in jobs if job["metadata"]["name"] not in before]) as again:
        again.wait_until_heard(away, WHOLE)
        seconds = time.time() - begun
        # Each end costs a list of its own, of the flow run's pods.
        lists = audit_log.count(since=mark, verb="list", user_agent="flowjob/") - len(away)
        after = end_steadily(sample(jobs, 3), PER_SECOND, end)
        again.wait_until_heard(after, WHOLE)
    lags = sorted(again.heard[name] - at for name, at in after.items())
    print(f"{WAITS} waits: whole after {seconds:.1f} s and {lists} lists; then heard of an end")
    print(f"after {lags[len(lags) // 2]:.2f} s (median), {lags[-1]:.2f} s (at most)")
    assert seconds < WHOLE
    assert lists <= LISTS
