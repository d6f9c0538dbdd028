"""What the page of flow runs sees of those that go on, and what that costs a cluster."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from flowjob.flow_run import flow_run_id_of
from flowjob.ui.job_place import JobPlace
from flowjob.ui.looks import Looks
from tests.support.access import restricted_kubeconfig
from tests.support.audit import AuditLog
from tests.support.cluster import Cluster
from tests.support.flow_runs import SPEC, FlowRuns, Manifest, connect
from tests.support.reverse_proxy import ReverseProxy
from tests.support.suspended_jobs import suspended_job
from tests.support.wait import wait_for

UNSCHEDULABLE = SPEC.replace(
    "containers: [{name: flow-container}]",
    "nodeSelector: {nowhere: here}\n      containers: [{name: flow-container}]",
)
NO_IMAGE = SPEC.replace("name: flow-container", "name: flow-container, imagePullPolicy: Never")


def place_of(job: Manifest, conn_id: str = "test_cluster") -> JobPlace:
    metadata = job["metadata"]
    return JobPlace(conn_id, metadata["namespace"], metadata["name"], flow_run_id_of(job))


def ready(flow_runs: FlowRuns, job: Manifest) -> Callable[[], bool]:
    def is_ready() -> bool:
        metadata = job["metadata"]
        found = flow_runs.loop.run(
            flow_runs.cluster.find_job(metadata["namespace"], metadata["name"])
        )
        return bool(found and (found.get("status") or {}).get("ready"))

    return is_ready


def test_it_is_seen_where_each_flow_run_is_and_what_it_waits_for_by_two_lists(
    flow_runs: FlowRuns, namespace: str, cluster: Cluster, core_v1: Any, audit_log: AuditLog
) -> None:
    running = flow_runs.create(flow_runs.manifest("sleep 600"))
    unschedulable = flow_runs.create(flow_runs.manifest("true", UNSCHEDULABLE))
    suspended = suspended_job(flow_runs)
    gone = flow_runs.manifest("true")
    hostile = JobPlace("test_cluster", "x/../..", "x", place_of(gone).flow_run_id)
    places = [place_of(job) for job in (running, unschedulable, suspended, gone)]
    wait_for(ready(flow_runs, running), "the flow to run")
    wait_for(
        lambda: any(
            condition.reason == "Unschedulable"
            for pod in core_v1.list_namespaced_pod(namespace).items
            for condition in pod.status.conditions or []
        ),
        "a pod that is not scheduled",
    )
    mark = audit_log.position()

    async def look_often() -> list[Any]:
        looks = Looks()
        return await asyncio.gather(*(looks.at([*places, hostile]) for _ in range(1000)))

    began = time.monotonic()
    answers = asyncio.run(look_often())
    print(f"1000 looks at once: {time.monotonic() - began:.2f} s")
    (seen, failures) = answers[0]
    assert all(answer == answers[0] for answer in answers)
    assert failures == []
    first, second, third, fourth = (seen[place.flow_run_id] for place in places)
    assert first.pod is not None
    assert first.pod.startswith(running["metadata"]["name"])
    assert (first.node is not None, first.pods, first.told) == (True, 1, None)
    assert (second.node, second.pods) == (None, 1)
    assert "the pod is not scheduled: 0/1 nodes are available" in (second.told or "")
    assert (third.pod, third.told) == (None, "the Job is suspended")
    assert fourth.told == "the Job is gone"
    for resource in ("jobs", "pods"):
        asked: dict[str, Any] = {"namespace": namespace, "user_agent": "flowjob/"}
        assert audit_log.count(since=mark, resource=resource, **asked) == 1


def test_a_page_waits_for_no_cluster_and_says_which_could_not_be_asked(
    flow_runs: FlowRuns,
    namespace: str,
    cluster: Cluster,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    job = suspended_job(flow_runs)
    restricted = restricted_kubeconfig(cluster.kubeconfig, namespace, "nobody", [], tmp_path)
    connect(restricted, monkeypatch, "nobody")
    with ExitStack() as ending:
        proxy = ending.enter_context(ReverseProxy(cluster.kubeconfig, tmp_path))
        connect(proxy.kubeconfig, monkeypatch, "slow")
        proxy.stall()
        ids = ("test_cluster", "nobody", "absent", "slow")

        async def look() -> None:
            looks, began = Looks(), time.monotonic()
            (found, told) = await looks.at([place_of(job, each) for each in ids], deadline=3)
            took = time.monotonic() - began
            print(f"{took:.2f} s: {told}")
            assert took < 4
            assert [each.told for each in found.values()] == ["the Job is suspended"]
            absent, nobody, slow = told
            about = f"Namespace {namespace}, by the Airflow connection "
            assert absent.startswith(f"{about}'absent': the Airflow connection 'absent' cannot")
            assert nobody.startswith(f"{about}'nobody': HTTP 403: ")
            assert "cannot list resource" in nobody
            assert slow == f"{about}'slow': the cluster has not answered in time"
            proxy.flow()
            assert (await looks.at([place_of(job, "slow")]))[1] == []

        asyncio.run(look())
