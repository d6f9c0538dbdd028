"""Workers that are pods: the same promises, whatever becomes of the pods."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.airflow.test_exactly_one import (
    test_a_cleared_task_leaves_no_pod_and_runs_exactly_one_new_job,
    test_a_completed_task_that_is_cleared_runs_its_flow_again,
    test_a_run_that_is_marked_failed_leaves_neither_job_nor_pod,
    test_a_task_that_is_marked_leaves_neither_job_nor_pod,
    test_a_task_that_times_out_leaves_neither_job_nor_pod,
)
from tests.scale.worker_image import import_worker_image
from tests.scale.worker_pods import OF_EXECUTOR, PodWorld, executor_settings, write_template
from tests.support.airflow.fixtures import DAGS_FOLDERS, NewAirflow
from tests.support.airflow.instance import AirflowInstance
from tests.support.airflow.world import FRAGILE, World
from tests.support.cluster import Cluster
from tests.support.deployed import applied, rights
from tests.support.proxy import FaultProxy
from tests.support.wait import wait_for

__all__ = [
    "test_a_cleared_task_leaves_no_pod_and_runs_exactly_one_new_job",
    "test_a_completed_task_that_is_cleared_runs_its_flow_again",
    "test_a_run_that_is_marked_failed_leaves_neither_job_nor_pod",
    "test_a_task_that_is_marked_leaves_neither_job_nor_pod",
    "test_a_task_that_times_out_leaves_neither_job_nor_pod",
]

pytestmark = pytest.mark.usefixtures("own_node")


@pytest.fixture(scope="module")
def fragile_airflow(
    cluster: Cluster,
    airflow_namespace: str,
    effects: Path,
    new_airflow: NewAirflow,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[AirflowInstance]:
    """An Airflow whose workers are pods with the rights of `deploy/`."""
    node = cluster.node
    assert node is not None
    folder = tmp_path_factory.mktemp("workers")
    import_worker_image(node, folder)
    template = folder / "pod.yaml"
    bridge = node.configuration().network.gateway
    settings = executor_settings(cluster.kubeconfig, airflow_namespace, template)
    with (
        applied(cluster.kubeconfig, airflow_namespace, rights(airflow_namespace, folder)),
        FaultProxy(cluster.kubeconfig, folder, host=bridge) as api_server,
        new_airflow(on_postgres=True, environment=FRAGILE | settings, host=bridge) as instance,
    ):
        logs = instance.home / "logs"
        folders = dict.fromkeys(DAGS_FOLDERS.values(), False) | {logs: True}
        write_template(template, instance, api_server, folders)
        yield instance


@pytest.fixture(params=[False, True], ids=["worker", "triggerer"])
def deferrable(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture
def world(world: World) -> PodWorld:
    return PodWorld(
        *(world.airflow, world.effects, world.audit_log, world.core_v1, world.batch_v1),
        deferrable=world.deferrable,
    )


in_a_worker = pytest.mark.parametrize("deferrable", [False], ids=["worker"])
in_the_triggerer = pytest.mark.parametrize("deferrable", [True], ids=["triggerer"])


def check_that_the_flow_ran_once(run: Any, tries: int) -> None:
    run.let_end()
    assert run.wait_for_end() == "success"
    assert run.task["try_number"] == tries
    assert len(run.jobs_created()) == 1
    assert run.effects() == [run.xcoms["flow_run_id"]]
    wait_for(lambda: run.flow_lines() == ["started", "ended"], "the flow's lines in the log")


@in_a_worker
@pytest.mark.parametrize("how", ["deleted", "evicted"])
def test_a_worker_pod_that_is_to_end_leaves_its_job_to_the_next_try(
    world: PodWorld, how: str
) -> None:
    run = world.start()
    run.wait_until_waiting()
    first = run.delete_worker_pod() if how == "deleted" else run.evict_worker_pod()
    run.wait_for_task("running", try_number=2)
    assert "The worker is to end: the Job goes on" in run.log(1)
    wait_for(lambda: "Adopted the Job" in run.log(), "the adoption")
    assert first != run.worker_pod().metadata.name
    check_that_the_flow_ran_once(run, tries=2)


@in_a_worker
def test_a_worker_pod_whose_flow_ends_in_its_grace_period_ends_its_task(world: PodWorld) -> None:
    run = world.start()
    run.wait_until_waiting()
    run.delete_worker_pod()
    wait_for(lambda: "The worker is to end: the Job goes on" in run.log(), "the signal's effect")
    check_that_the_flow_ran_once(run, tries=1)


@in_a_worker
@pytest.mark.parametrize("who", ["task", "supervisor"])
def test_a_worker_that_is_killed_leaves_its_job_to_the_next_try(world: PodWorld, who: str) -> None:
    run = world.start()
    run.wait_until_waiting()
    os.kill(run.task_process() if who == "task" else run.supervisor_process(), signal.SIGKILL)
    run.wait_for_task("running", try_number=2)
    wait_for(lambda: "Adopted the Job" in run.log(), "the adoption")
    check_that_the_flow_ran_once(run, tries=2)


@in_the_triggerer
def test_a_deferred_task_resumes_in_a_pod_of_its_own(world: PodWorld) -> None:
    run = world.start()
    seen: set[str] = set()

    def look() -> bool:
        seen.update(pod.metadata.name for pod in run.worker_pods())
        return bool(run.task["state"] in ("success", "failed"))

    run.wait_until_waiting()
    look()
    wait_for(lambda: not run.worker_pods(), "the first pod to be gone")
    run.let_end()
    wait_for(look, "the task to end", 60)
    assert len(seen) == 2
    check_that_the_flow_ran_once(run, tries=1)


def test_nobody_takes_a_workers_pod_for_a_flows(world: PodWorld) -> None:
    run = world.start()
    run.wait_for_effects()
    pods = world.core_v1.list_pod_for_all_namespaces(label_selector=OF_EXECUTOR).items
    assert {"flow_run_id", "identifier"}.isdisjoint(
        label for pod in pods for label in pod.metadata.labels
    )
    (flow,) = run.pods()
    labels = flow.metadata.labels
    assert {label.rpartition("/")[2] for label in labels} == {
        *("flow_run_id", "identifier"),
        *("controller-uid", "job-name"),
    }
    check_that_the_flow_ran_once(run, tries=1)


@in_a_worker
def test_the_flows_lines_are_read_from_the_pod_while_it_runs(world: PodWorld) -> None:
    run = world.start()
    run.wait_until_waiting()
    name = run.worker_pod().metadata.name
    wait_for(lambda: name in run.log(), "the pod among the sources of the log")
    assert run.flow_lines() == ["started"]
    check_that_the_flow_ran_once(run, tries=1)


def test_a_scheduler_that_is_replaced_leaves_its_workers_to_the_next_one(world: PodWorld) -> None:
    run = world.start()
    run.wait_until_waiting()
    world.airflow.scheduler.kill()
    world.airflow.scheduler.start()
    world.airflow.wait_until_healthy()
    check_that_the_flow_ran_once(run, tries=1)
