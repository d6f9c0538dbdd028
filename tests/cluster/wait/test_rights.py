"""Rights that are missing, or granted while flow runs are waited for."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest

from flowjob.flow_run import FLOW_RUN_ID_LABEL
from flowjob.status.observation import Observation
from flowjob.status.outcome import Outcome
from flowjob.wait.flow_run_watch import FlowRunWatch
from flowjob.wait.until_end import wait_for_end
from tests.support.access import restricted_kubeconfig, set_rules
from tests.support.audit import AuditLog
from tests.support.cluster import Cluster
from tests.support.flow_runs import FlowRuns, Manifest, connect
from tests.support.suspended_jobs import complete, suspended_job
from tests.support.wait import wait_for

READ = [{"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["get"]}]
WATCH = [
    {"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "watch"]},
]


async def wait(
    flow_runs: FlowRuns, namespace: str, jobs: list[Manifest], seen: list[Observation]
) -> list[Outcome]:
    """Wait for Jobs on one watch, as a triggerer does."""
    cluster = flow_runs.cluster
    async with FlowRunWatch(cluster, namespace, FLOW_RUN_ID_LABEL, asked_again=0.5) as watch:
        ends = await asyncio.gather(
            *(
                wait_for_end(cluster, watch, job, seen.append, startup_timeout=None, wait_for="job")
                for job in jobs
            )
        )
    return [outcome for _, outcome in ends]


def test_a_right_to_watch_that_is_granted_later_is_used_from_then_on(
    flow_runs: FlowRuns,
    batch_v1: Any,
    cluster: Cluster,
    namespace: str,
    audit_log: AuditLog,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    path = restricted_kubeconfig(cluster.kubeconfig, namespace, "reader", READ, tmp_path)
    jobs = [suspended_job(flow_runs) for _ in range(3)]
    own: dict[str, Any] = {"namespace": namespace, "user_agent": "flowjob/", "resource": "jobs"}
    with FlowRuns(connect(path, monkeypatch, "reader"), namespace, "none") as reader:
        seen: list[Observation] = []
        mark = audit_log.position()
        outcomes: Future[list[Outcome]] = reader.loop.start(wait(reader, namespace, jobs, seen))
        wait_for(lambda: len(seen) >= len(jobs), "the Jobs to be read by their names")
        assert audit_log.count(since=mark, verb="get", **own) >= len(jobs)
        set_rules(cluster.kubeconfig, namespace, "reader", WATCH)
        wait_for(
            lambda: any(r.code != 403 for r in audit_log.requests(verb="watch", **own)),
            "the watch",
        )
        watched = audit_log.position()
        for job in jobs:
            complete(batch_v1, job)
        assert [outcome.status for outcome in outcomes.result(30)] == ["succeeded"] * len(jobs)
        assert audit_log.count(since=watched, verb="get", **own) == 0
    assert caplog.text.count("are read now and then instead") == 1


def test_who_may_list_jobs_and_not_watch_them_hears_of_their_ends(
    flow_runs: FlowRuns,
    batch_v1: Any,
    cluster: Cluster,
    namespace: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rules = [{"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["get", "list"]}]
    path = restricted_kubeconfig(cluster.kubeconfig, namespace, "lister", rules, tmp_path)
    job = suspended_job(flow_runs)
    with FlowRuns(connect(path, monkeypatch, "lister"), namespace, "none") as lister:
        seen: list[Observation] = []
        outcomes = lister.loop.start(wait(lister, namespace, [job], seen))
        wait_for(lambda: seen, "the Job to be seen")
        complete(batch_v1, job)
        assert outcomes.result(90)[0].status == "succeeded"
