"""Exactly one Job per flow run, whatever dies; killed means gone, lost means kept."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from flowjob.execution import Execution
from flowjob.flow_run import TaskInstanceKey
from flowjob.job_spec import FlowContainer, JobSpec
from tests.airflow.fixtures import NewAirflow
from tests.airflow.instance import AirflowInstance
from tests.cluster.audit import AuditLog
from tests.cluster.fixtures import Cluster
from tests.cluster.flow_runs import SPEC, FlowRuns, connect, new_flow_run
from tests.cluster.node.node import Node
from tests.cluster.reverse_proxy import Hold, ReverseProxy
from tests.cluster.wait import wait_for

pytestmark = pytest.mark.usefixtures("own_node")

HEARTBEAT_TIMEOUT = 20
# Longer than one request may take.
OUTAGE = 60


@pytest.fixture(scope="module")
def effects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the flows write to."""
    folder = tmp_path_factory.mktemp("effects")
    folder.chmod(0o777)
    (folder / "lines").touch(0o666)
    return folder


@pytest.fixture(scope="module")
def airflow(new_airflow: NewAirflow, effects: Path) -> Iterator[AirflowInstance]:
    """An Airflow that notices soon that a worker is dead, and whose parts may be killed."""
    environment = {
        "FLOW_EFFECTS": str(effects),
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": str(HEARTBEAT_TIMEOUT),
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
        # The tasks of a scheduler that went away are taken over by the next one.
        "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "5",
        "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "10",
        "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "2",
    }
    with new_airflow(on_postgres=True, environment=environment) as instance:
        yield instance


class Run:
    """A run of one of the DAGs, with what can be done to it and what is left of it."""

    def __init__(
        self,
        world: World,
        dag_id: str,
        task_id: str = "flow",
        connection: str = "kubernetes_default",
        **arguments: Any,
    ) -> None:
        self._world = world
        self._client = world.airflow.client
        self.dag_id, self.task_id = dag_id, task_id
        conf = {"connection": connection}
        self.run_id = self._client.trigger(dag_id, conf=conf, **arguments)

    @property
    def key(self) -> TaskInstanceKey:
        return TaskInstanceKey(self.dag_id, self.run_id, self.task_id)

    @property
    def task(self) -> dict[str, Any]:
        return self._client.task_instance(self.dag_id, self.run_id, self.task_id)

    @property
    def xcoms(self) -> dict[str, Any]:
        return self._client.xcoms(self.dag_id, self.run_id, self.task_id)

    def log(self, try_number: int | None = None) -> str:
        number = try_number or self.task["try_number"]
        return self._client.log(self.dag_id, self.run_id, self.task_id, number)

    def effects(self, task_id: str | None = None) -> list[str]:
        """Return the ids of the flow runs that left their line."""
        name = f"{self.run_id}.{task_id or self.task_id}"
        lines = (self._world.effects / "lines").read_text().splitlines()
        return [line.split()[1] for line in lines if line.split()[0] == name]

    def let_end(self, *task_ids: str) -> None:
        for task_id in task_ids or (self.task_id,):
            (self._world.effects / f"{self.run_id}.{task_id}.end").touch()

    def jobs_created(self) -> list[str]:
        return self._world.audit_log.jobs_created(self.key.identifier)

    def jobs(self) -> list[Any]:
        """Return the Jobs that there are now."""
        selector = f"identifier={self.key.identifier}"
        return list(self._world.batch_v1.list_job_for_all_namespaces(label_selector=selector).items)

    def pods(self) -> list[Any]:
        selector = f"identifier={self.key.identifier}"
        return list(self._world.core_v1.list_pod_for_all_namespaces(label_selector=selector).items)

    def wait_for_effects(self, count: int = 1) -> None:
        self._wait(lambda: len(self.effects()) >= count, f"{count} flow runs to begin")

    def wait_for_task(self, *states: str, try_number: int = 0, timeout: float = 120.0) -> None:
        self._client.wait_for_task(
            self.dag_id, self.run_id, self.task_id, states, try_number=try_number, timeout=timeout
        )

    def wait_for_end(self, timeout: float = 120.0) -> str:
        return self._client.wait_for_run(self.dag_id, self.run_id, timeout)

    def wait_for_completion(self) -> None:
        """Wait until the cluster, not Airflow, says that the Job is over."""
        self._wait(lambda: self.jobs()[0].status.completion_time, "the Job's completion")

    def wait_until_no_pod_is_left(self, seconds: float = 15.0) -> None:
        self._wait(lambda: not self.jobs() and not self.pods(), "Job and pods to be gone", seconds)

    def kill_task(self) -> None:
        """Kill the process of the task, as the machine's memory killer does."""
        os.kill(self.task_process(), signal.SIGKILL)

    def task_process(self) -> int:
        process: int = self._wait(lambda: self.task["pid"], "the task's process")
        return process

    def set_state(self, state: str) -> None:
        self._client.set_state(self.dag_id, self.run_id, self.task_id, state)

    def clear(self, task_id: str | None = None) -> None:
        self._client.clear(self.dag_id, self.run_id, [task_id or self.task_id])

    def _wait(self, condition: Callable[[], Any], what: str, seconds: float = 60.0) -> Any:
        def seen() -> str:
            return self._client.run_evidence(self.dag_id, self.run_id)

        return self._client.wait_for(condition, what, seconds, seen)


class World:
    """All that stands behind the tests, in one hand."""

    def __init__(
        self, airflow: AirflowInstance, effects: Path, audit_log: AuditLog, core: Any, batch: Any
    ) -> None:
        self.airflow, self.effects, self.audit_log = airflow, effects, audit_log
        self.core_v1, self.batch_v1 = core, batch

    def start(self, dag_id: str = "exactly_one", **arguments: Any) -> Run:
        return Run(self, dag_id, **arguments)


@pytest.fixture
def world(
    airflow: AirflowInstance, effects: Path, audit_log: AuditLog, core_v1: Any, batch_v1: Any
) -> Iterator[World]:
    yield World(airflow, effects, audit_log, core_v1, batch_v1)
    # What a failed test left running must not keep the next one waiting.
    for component in airflow.components:
        if not component.is_running:
            component.start()
    airflow.wait_until_healthy()


@pytest.fixture
def proxied(
    world: World, cluster: Cluster, airflow_namespace: str, tmp_path: Path
) -> Iterator[Callable[[], tuple[ReverseProxy, str]]]:
    """Return a function that makes a proxy, and an Airflow connection through it."""
    with ExitStack() as ending:

        def new() -> tuple[ReverseProxy, str]:
            folder = tmp_path / uuid4().hex
            folder.mkdir()
            proxy = ending.enter_context(ReverseProxy(cluster.kubeconfig, folder))
            conn_id = f"proxied_{uuid4().hex}"
            extra = {"kube_config_path": str(proxy.kubeconfig), "namespace": airflow_namespace}
            connection = {
                "connection_id": conn_id,
                "conn_type": "kubernetes",
                "extra": json.dumps(extra),
            }
            world.airflow.client.request("POST", "connections", json=connection)
            ending.callback(world.airflow.client.request, "DELETE", f"connections/{conn_id}")
            return proxy, conn_id

        yield new


class Point:
    """A moment in the life of a flow run: how to come to it, and how to go on from it."""

    def __init__(self, name: str, proxy: ReverseProxy) -> None:
        self.name, self._proxy = name, proxy
        self._hold: Hold | None = None
        if name == "before the create":
            self._hold = proxy.hold_request("POST", "/jobs")
        if name == "between the create and its reply":
            self._hold = proxy.hold_reply("POST", "/jobs")

    def reach(self, run: Run) -> None:
        if self._hold:
            self._hold.wait_until_reached()
        else:
            run.wait_for_effects()
            wait_for(lambda: "started" in run.log(), "the worker to watch the flow run")
        if self.name == "after Complete, before XCom":
            self._proxy.stall()
            run.let_end()
            run.wait_for_completion()

    def leave(self) -> None:
        if self._hold:
            self._hold.lose()
        self._proxy.flow()


POINTS = (
    "before the create",
    "between the create and its reply",
    "while waiting",
    "after Complete, before XCom",
)


@pytest.mark.parametrize("name", POINTS)
def test_a_killed_task_process_leaves_one_job_whose_flow_ran_once(
    world: World, proxied: Callable[[], tuple[ReverseProxy, str]], name: str
) -> None:
    proxy, connection = proxied()
    point = Point(name, proxy)
    run = world.start(connection=connection)
    point.reach(run)
    assert run.task["state"] == "running"
    run.kill_task()
    point.leave()
    run.wait_for_task("running", "success", try_number=2)
    run.let_end()
    assert run.wait_for_end() == "success"
    assert run.task["try_number"] == 2
    assert len(run.jobs_created()) == 1
    assert run.effects() == [run.xcoms["flow_run_id"]]
    assert run.xcoms["status"] == "succeeded"
    adopted = name != "before the create"
    assert ("Adopted the Job" in run.log()) == adopted
    assert [line for line in ("started", "ended") if line in run.log()] == ["started", "ended"]


def test_an_api_server_that_is_away_for_a_minute_is_waited_for_at_any_point(
    world: World, proxied: Callable[[], tuple[ReverseProxy, str]], own_node: Node
) -> None:
    proxies = {name: proxied() for name in POINTS}
    points = {name: Point(name, proxy) for name, (proxy, _) in proxies.items()}
    runs = {name: world.start(connection=conn) for name, (_, conn) in proxies.items()}
    for name, point in points.items():
        point.reach(runs[name])
    own_node.stop_api_server()
    for point in points.values():
        point.leave()
    time.sleep(OUTAGE)  # the outage itself
    assert {run.task["state"] for run in runs.values()} == {"running"}
    own_node.start_api_server()
    for run in runs.values():
        run.let_end()
    for name, run in runs.items():
        assert run.wait_for_end(180) == "success", name
        assert run.task["try_number"] == 1, name
        assert len(run.jobs_created()) == 1, name
        assert run.effects() == [run.xcoms["flow_run_id"]], name


def test_a_lost_reply_of_the_create_leaves_one_job(
    world: World, proxied: Callable[[], tuple[ReverseProxy, str]]
) -> None:
    proxy, connection = proxied()
    lost = [proxy.hold_reply("POST", "/jobs") for _ in range(3)]
    run = world.start(connection=connection)
    for hold in lost:
        hold.wait_until_reached()
        hold.lose()
    run.let_end()
    assert run.wait_for_end() == "success"
    assert len(run.jobs_created()) == 1
    assert run.effects() == [run.xcoms["flow_run_id"]]


@pytest.mark.parametrize("state", ["failed", "success"])
def test_a_task_that_is_marked_leaves_neither_job_nor_pod(world: World, state: str) -> None:
    run = world.start()
    run.wait_for_effects()
    run.wait_for_task("running")
    run.set_state(state)
    run.wait_until_no_pod_is_left()
    assert run.task["state"] == state
    assert len(run.jobs_created()) == 1
    assert "The task was ended in Airflow" in run.log()


def test_a_run_that_is_marked_failed_leaves_neither_job_nor_pod(world: World) -> None:
    run = world.start()
    run.wait_for_effects()
    world.airflow.client.set_run_state(run.dag_id, run.run_id, "failed")
    run.wait_until_no_pod_is_left()
    assert len(run.jobs_created()) == 1


def test_a_cleared_task_leaves_no_pod_and_runs_exactly_one_new_job(world: World) -> None:
    run = world.start()
    run.wait_for_effects()
    first = run.jobs_created()
    run.clear()
    run.wait_for_effects(2)
    assert [job.metadata.name for job in run.jobs()] == run.jobs_created()[1:]
    run.let_end()
    assert run.wait_for_end() == "success"
    assert run.jobs_created()[:1] == first
    assert len(run.jobs_created()) == 2
    assert run.effects()[1:] == [run.xcoms["flow_run_id"]]


def test_a_task_that_times_out_leaves_neither_job_nor_pod(world: World) -> None:
    run = world.start("times_out")
    run.wait_for_effects()
    assert run.wait_for_end() == "failed"
    run.wait_until_no_pod_is_left()
    assert run.xcoms["status"] == "cancelled"
    assert "AirflowTaskTimeout" in run.log()
    assert len(run.jobs_created()) == 1


@pytest.mark.parametrize("name", POINTS[:2])
def test_a_kill_during_the_create_leaves_no_job(
    world: World, proxied: Callable[[], tuple[ReverseProxy, str]], name: str
) -> None:
    proxy, connection = proxied()
    hold = Point(name, proxy)._hold
    assert hold is not None
    run = world.start(connection=connection)
    hold.wait_until_reached()
    run.set_state("failed")
    wait_for(lambda: "The task was ended in Airflow" in run.log(), "the kill to be heard of")
    hold.let_go()
    wait_for(run.jobs_created, "the Job to be created")
    run.wait_until_no_pod_is_left()
    assert len(run.jobs_created()) == 1


def test_a_worker_that_is_asked_to_end_keeps_its_job(world: World) -> None:
    run = world.start()
    run.wait_for_effects()
    os.kill(run.task_process(), signal.SIGTERM)
    wait_for(lambda: "The worker is to end: the Job goes on" in run.log(), "the signal's effect")
    run.kill_task()
    run.wait_for_task("running", try_number=2)
    run.let_end()
    assert run.wait_for_end() == "success"
    assert len(run.jobs_created()) == len(run.effects()) == 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_scheduler_that_goes_away_with_its_workers_leaves_jobs_that_are_adopted(
    world: World, number: signal.Signals
) -> None:
    run = world.start()
    run.wait_for_effects()
    scheduler = world.airflow.scheduler
    if number == signal.SIGTERM:
        scheduler.ask_to_end()
        wait_for(lambda: "Exiting gracefully" in scheduler.log_tail(200), "the scheduler to hear")
        assert [job.metadata.deletion_timestamp for job in run.jobs()] == [None]
    scheduler.kill()
    scheduler.start()
    run.wait_for_task("running", try_number=2)
    run.let_end()
    assert run.wait_for_end() == "success"
    assert len(run.jobs_created()) == len(run.effects()) == 1


def test_twins_launch_one_job_each_of_fifty_times(
    cluster: Cluster, namespace: str, batch_v1: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = connect(cluster.kubeconfig, monkeypatch)
    spec = JobSpec.from_text(SPEC.replace("backoffLimit: 0", "suspend: true"), "spec")
    container = FlowContainer(cluster.shell_image, ["true"], [], {})
    with (
        FlowRuns(connection, namespace, cluster.shell_image) as one,
        FlowRuns(connection, namespace, cluster.shell_image) as other,
        ThreadPoolExecutor(2) as threads,
    ):
        for count in range(1, 51):
            flow_run = new_flow_run()
            manifest = spec.for_flow_run(flow_run, container, namespace=namespace, name=None)

            def launch(runs: FlowRuns, flow_run: Any = flow_run, manifest: Any = manifest) -> str:
                execution = Execution(runs.cluster, flow_run, manifest)
                uid: str = runs.loop.run(execution.launch())["metadata"]["uid"]
                return uid

            assert len(set(threads.map(launch, (one, other)))) == 1
            assert len(batch_v1.list_namespaced_job(namespace).items) == count


def test_a_backfill_of_twenty_dates_survives_workers_that_are_killed(world: World) -> None:
    seed = 20260101
    chance = random.Random(seed)
    client = world.airflow.client
    client.wait_for_dag("many_dates")
    client.request("PATCH", "dags/many_dates", json={"is_paused": False})
    world.airflow.cli(
        *("backfill", "create", "--dag-id", "many_dates", "--max-active-runs", "5"),
        *("--from-date", "2026-01-01", "--to-date", "2026-01-20"),
    )
    killed = 0

    def finished() -> list[dict[str, Any]] | None:
        runs = [run for run in client.dag_runs("many_dates") if run["run_type"] == "backfill"]
        done = [run for run in runs if run["state"] in ("success", "failed")]
        return done if len(done) == 20 else None

    def kill_one() -> None:
        nonlocal killed
        time.sleep(chance.uniform(0, 3))  # the random moment
        runs = [run for run in client.dag_runs("many_dates") if run["state"] == "running"]
        tasks = [client.task_instance("many_dates", run["dag_run_id"], "flow") for run in runs]
        pids = sorted(task["pid"] for task in tasks if task["state"] == "running" and task["pid"])
        if pids:
            try:
                os.kill(chance.choice(pids), signal.SIGKILL)
                killed += 1
            except ProcessLookupError:
                pass  # it has just ended

    deadline = time.monotonic() + 300
    while not finished() and killed < 15 and time.monotonic() < deadline:
        kill_one()
    runs = wait_for(finished, "the twenty runs", 300, 0.5)
    assert {run["state"] for run in runs} == {"success"}
    assert killed >= 5
    lines = (world.effects / "lines").read_text().splitlines()
    names = sorted(line.split()[0] for line in lines if line.startswith("backfill__"))
    assert names == sorted(f"{run['dag_run_id']}.flow" for run in runs)
    for run in runs:
        key = TaskInstanceKey("many_dates", run["dag_run_id"], "flow")
        assert len(world.audit_log.jobs_created(key.identifier)) == 1
        selector = f"identifier={key.identifier}"
        jobs = world.batch_v1.list_job_for_all_namespaces(label_selector=selector).items
        assert [job.status.active for job in jobs] == [None]


def test_a_completed_task_that_is_cleared_runs_its_flow_again(world: World) -> None:
    run = world.start("siblings")
    run.let_end()
    run.wait_for_task("success")
    first = run.xcoms["flow_run_id"]

    run.clear()  # while the run goes on, for its other task
    run.wait_for_task("success", try_number=2)
    second = run.xcoms["flow_run_id"]
    run.let_end("sibling")
    assert run.wait_for_end() == "success"

    run.clear()  # after it has ended
    run.wait_for_task("success", try_number=3)
    assert run.effects() == [first, second, run.xcoms["flow_run_id"]]
    assert len(set(run.effects())) == len(run.jobs_created()) == 3


def test_clearing_a_sibling_disturbs_nothing(world: World) -> None:
    run = world.start("siblings")
    run.wait_for_effects()
    run.let_end("sibling")
    world.airflow.client.wait_for_task("siblings", run.run_id, "sibling", ["success"])
    run.clear("sibling")
    world.airflow.client.wait_for_task("siblings", run.run_id, "sibling", ["success"], try_number=2)
    assert len(run.effects("sibling")) == 2
    # Not even the adoption by a later try.
    run.kill_task()
    run.wait_for_task("running", try_number=2)
    run.let_end()
    assert run.wait_for_end() == "success"
    assert len(run.jobs_created()) == len(run.effects()) == 1


def test_a_run_that_is_deleted_and_created_again_runs_its_flow_again(world: World) -> None:
    run_id = f"again-{uuid4().hex}"
    run = world.start(run_id=run_id)
    run.let_end()
    assert run.wait_for_end() == "success"
    world.airflow.client.delete_run(run.dag_id, run_id)
    again = world.start(run_id=run_id)
    assert again.wait_for_end() == "success"
    assert len(set(again.effects())) == len(again.jobs_created()) == 2


def sweep(world: World) -> tuple[list[str], str]:
    """Run the example DAG; return the names of the Jobs that it deleted, and its log."""
    client, dag_id = world.airflow.client, "flow_job_sweep"
    begun = len(client.dag_runs(dag_id))
    client.trigger(dag_id)

    def ended() -> list[str] | None:
        # Unpaused, it is also scheduled, by the hour: a second run may come first.
        runs = client.dag_runs(dag_id)[begun:]
        ids = [run["dag_run_id"] for run in runs if run["state"] == "success"]
        return ids if len(ids) == len(runs) else None

    run_ids = wait_for(ended, "the sweep to end", 60)
    swept = [
        name
        for run_id in run_ids
        for name in client.xcoms(dag_id, run_id, "sweep").get("return_value", [])
    ]
    return swept, "\n".join(client.log(dag_id, run_id, "sweep") for run_id in run_ids)


def test_the_sweep_deletes_what_nobody_waits_for_and_nothing_else(world: World) -> None:
    lost, alive = world.start("last_try"), world.start()
    for run in (lost, alive):
        run.wait_for_effects()
    lost.kill_task()
    assert lost.wait_for_end() == "failed"
    (job,) = lost.jobs()

    swept, log = sweep(world)
    lost.wait_until_no_pod_is_left()
    assert swept == [f"{job.metadata.namespace}/{job.metadata.name}"]
    assert f"Deleted the Job {swept[0]}: {lost.key} has ended (failed)" in log

    alive.let_end()
    assert alive.wait_for_end() == "success"
    assert len(alive.jobs_created()) == len(alive.effects()) == 1


def test_a_job_is_deleted_after_its_end_only_where_that_is_asked_for(world: World) -> None:
    run = world.start("cleans_up")
    names = ("keep", "delete", "delete_succeeded")
    run.let_end(*names)
    assert run.wait_for_end() == "success"
    left = {}
    for name in names:
        run.task_id = name
        if name != "keep":
            run.wait_until_no_pod_is_left()
        left[name] = len(run.jobs())
        assert run.xcoms["status"] == "succeeded"
    assert left == {"keep": 1, "delete": 0, "delete_succeeded": 0}
