"""Two clusters under one Airflow: what befalls one is no matter to the flow runs of the other."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client, config

from flowjob.flow_run import TaskInstanceKey
from tests.support.airflow.fixtures import NewAirflow
from tests.support.airflow.instance import AirflowInstance
from tests.support.audit import AuditLog
from tests.support.cluster import Cluster
from tests.support.node.node import Node, running_node

pytestmark = pytest.mark.usefixtures("own_node")

HERE, THERE = "here", "there"
# Of the mapped task, whose connections take turns.
INDEXES = {HERE: (0, 2, 4), THERE: (1, 3, 5)}
LINES = [f"line {number}" for number in range(200)]
MODES = ("", "_deferrable")
# Seconds.
OUTAGE = 150
# What a flow run may take from the moment in which it may end, on a busy machine.
END = 60


@dataclass(frozen=True)
class Place:
    """A cluster, and how it is looked into without Airflow."""

    audit_log: AuditLog
    batch_v1: Any
    core_v1: Any


class Task:
    """A task that has a flow run on one of the clusters."""

    def __init__(self, clusters: Clusters, dag_id: str, run_id: str, index: int, at: str) -> None:
        self._clusters, self._client = clusters, clusters.airflow.client
        self.key = TaskInstanceKey(dag_id, run_id, "flow", index)
        self.place, self.other = clusters.places[at], clusters.places[_other(at)]
        self._name = f"{dag_id}.{run_id}.flow.{index}"

    @property
    def state(self) -> str:
        key = self.key
        task = self._client.task_instance(key.dag_id, key.run_id, key.task_id, key.map_index)
        state: str = task["state"]
        return state

    def effects(self) -> list[str]:
        """Return the ids of the flow runs that left their line."""
        lines = (self._clusters.effects / "lines").read_text().splitlines()
        return [line.split()[1] for line in lines if line.split()[0] == self._name]

    def log(self) -> str:
        key = self.key
        return self._client.log(key.dag_id, key.run_id, key.task_id, map_index=key.map_index)

    def lines(self) -> list[str]:
        """Return the flow's own lines in the log."""
        key = self.key
        messages = self._client.log_messages(
            key.dag_id, key.run_id, key.task_id, map_index=key.map_index
        )
        events = [each["event"] for each in messages if isinstance(each, dict)]
        return [event for event in events if event.startswith("line ")]

    def wait_until_waiting(self) -> None:
        self._wait(self.effects, "the flow to begin")
        if self.key.dag_id.endswith("_deferrable"):
            self._wait(lambda: ") starting" in self.log(), "the trigger to start")
        else:
            self._wait(lambda: "line 99" in self.log(), "the first lines in the log")

    def let_end(self) -> None:
        (self._clusters.effects / f"{self._name}.end").touch()

    def mark_failed(self) -> None:
        key = self.key
        self._client.set_state(key.dag_id, key.run_id, key.task_id, "failed", key.map_index)

    def wait_until_gone(self) -> None:
        """Wait until neither Job nor pod is left."""
        selector = f"identifier={self.key.identifier}"
        jobs = self.place.batch_v1.list_job_for_all_namespaces
        pods = self.place.core_v1.list_pod_for_all_namespaces

        def gone() -> bool:
            return not any(look(label_selector=selector).items for look in (jobs, pods))

        self._wait(gone, "Job and pods to be gone")

    def check_that_it_succeeds_whole(self, seconds: float = END) -> None:
        """Wait for the success, and see that there was one Job, one flow, and each line once."""
        self._wait(lambda: self.state in ("success", "failed"), "the task to end", seconds)
        assert self.state == "success", self.log()
        # Airflow may have the state before the file has the log's end.
        self._wait(lambda: len(self.lines()) >= len(LINES), "the whole log")
        assert self.lines() == LINES
        key = self.key
        at = (key.dag_id, key.run_id, key.task_id)
        flow_run_id = self._client.xcoms(*at, key.map_index)["flow_run_id"]
        assert self.effects() == [flow_run_id]
        self.check_that_there_was_one_job()

    def check_that_there_was_one_job(self) -> None:
        assert len(self.place.audit_log.jobs_created(self.key.identifier)) == 1
        assert self.other.audit_log.jobs_created(self.key.identifier) == []

    def _wait(self, condition: Callable[[], Any], what: str, seconds: float = END) -> None:
        key = self.key
        self._client.wait_for(
            condition,
            f"{key}: {what}",
            seconds,
            lambda: self._client.run_evidence(key.dag_id, key.run_id),
        )


def _other(at: str) -> str:
    return THERE if at == HERE else HERE


class Clusters:
    """One Airflow, its clusters by their connections, and the flows that run there."""

    def __init__(self, airflow: AirflowInstance, effects: Path, places: dict[str, Place]) -> None:
        self.airflow, self.effects, self.places = airflow, effects, places

    def start_mapped(self) -> dict[str, list[Task]]:
        """Start, in both modes, a mapped task with three flow runs on each cluster."""
        tasks: dict[str, list[Task]] = {at: [] for at in INDEXES}
        for suffix in MODES:
            dag_id = f"two_clusters{suffix}"
            run_id = self.airflow.client.trigger(dag_id)
            for at, indexes in INDEXES.items():
                tasks[at] += [Task(self, dag_id, run_id, index, at) for index in indexes]
        return tasks

    def start(self, suffix: str, at: str) -> Task:
        """Start a run whose task takes its connection from a template."""
        dag_id = f"one_of_two_clusters{suffix}"
        run_id = self.airflow.client.trigger(dag_id, conf={"connection": at})
        return Task(self, dag_id, run_id, -1, at)


@pytest.fixture(scope="module")
def other_node(cluster: Cluster) -> Iterator[Node]:
    with running_node() as node:
        yield node


def place(node: Node) -> Place:
    api = config.new_client_from_config(str(node.kubeconfig))
    return Place(AuditLog(node.audit_log), client.BatchV1Api(api), client.CoreV1Api(api))


def connection_to(node: Node, namespace: str) -> str:
    extra = {"kube_config_path": str(node.kubeconfig), "namespace": namespace}
    return json.dumps({"conn_type": "kubernetes", "extra": extra})


@pytest.fixture(scope="module")
def clusters(
    cluster: Cluster,
    other_node: Node,
    airflow_namespace: str,
    effects: Path,
    new_airflow: NewAirflow,
) -> Iterator[Clusters]:
    assert cluster.node is not None
    places = {HERE: place(cluster.node), THERE: place(other_node)}
    # Of the same name on both: it must not be what tells them apart.
    places[THERE].core_v1.create_namespace({"metadata": {"name": airflow_namespace}})
    environment = {
        "AIRFLOW_CONN_HERE": connection_to(cluster.node, airflow_namespace),
        "AIRFLOW_CONN_THERE": connection_to(other_node, airflow_namespace),
        "AIRFLOW_VAR_EFFECTS": str(effects),
        "AIRFLOW__CORE__PARALLELISM": "24",
    }
    dags = {"scale": Path(__file__).parent / "dags"}
    with new_airflow(on_postgres=True, environment=environment, dags_folders=dags) as airflow:
        yield Clusters(airflow, effects, places)


def stop(node: Node, how: str) -> None:
    if how == "killed":
        node.kill_api_server()
    else:
        node.pause_api_server()


def start_again(node: Node, how: str) -> None:
    if how == "killed":
        node.start_api_server()
    else:
        node.resume_api_server()


@contextmanager
def away(node: Node, how: str) -> Iterator[None]:
    """Let the API server be away for the time of the block, and for some minutes at least."""
    begun = time.monotonic()
    stop(node, how)
    try:
        yield
        time.sleep(max(begun + OUTAGE - time.monotonic(), 0))  # the outage itself
    finally:
        start_again(node, how)


def end_all(tasks: Iterable[Task], seconds: float = END) -> None:
    """Let these flow runs end, and check each."""
    for task in tasks:
        task.let_end()
    for task in tasks:
        task.check_that_it_succeeds_whole(seconds)


@pytest.mark.parametrize("how", ["killed", "hung"])
def test_a_cluster_that_is_away_for_minutes_disturbs_no_flow_run_of_the_other(
    clusters: Clusters, other_node: Node, how: str
) -> None:
    mapped = clusters.start_mapped()
    killed = {at: clusters.start("_deferrable", at) for at in (HERE, THERE)}
    for task in (*mapped[HERE], *mapped[THERE], *killed.values()):
        task.wait_until_waiting()
    with away(other_node, how):
        late = [clusters.start(suffix, THERE) for suffix in MODES]
        killed[THERE].mark_failed()
        killed[HERE].mark_failed()
        killed[HERE].wait_until_gone()
        for task in mapped[THERE]:
            task.let_end()
        end_all(mapped[HERE])
        # What starts only now, too; again later, when what waits has waited for long.
        for _ in range(3):
            started = [clusters.start(suffix, HERE) for suffix in MODES]
            for task in started:
                task.wait_until_waiting()
            end_all(started)
        assert {task.state for task in (*mapped[THERE], *late)} == {"running", "deferred"}
    end_all(mapped[THERE], 2 * END)
    for task in late:
        task.wait_until_waiting()
    end_all(late)
    killed[THERE].wait_until_gone()
    for task in killed.values():
        task.check_that_there_was_one_job()
        assert task.state == "failed"
