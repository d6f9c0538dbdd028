"""An Airflow whose parts may be killed, and flows that leave a line for each time they ran."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import yaml

from flowjob.flow_run import TaskInstanceKey
from tests.support.airflow.fixtures import NewAirflow
from tests.support.airflow.instance import AirflowInstance
from tests.support.audit import AuditLog
from tests.support.cluster import Cluster
from tests.support.reverse_proxy import Hold, ReverseProxy

# Seconds.
HEARTBEAT_TIMEOUT = 20
ON_KILL_TIMEOUT = 5
# The settings of an Airflow that notices soon that a part of it is dead.
FRAGILE = {
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": str(HEARTBEAT_TIMEOUT),
    "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT_DETECTION_INTERVAL": "2",
    # The tasks of a scheduler that went away are taken over by the next one.
    "AIRFLOW__SCHEDULER__ORPHANED_TASKS_CHECK_INTERVAL": "5",
    "AIRFLOW__SCHEDULER__SCHEDULER_HEALTH_CHECK_THRESHOLD": "30",
    # Hundreds of tasks are started here, which must not keep the scheduler from its heartbeat:
    # the tasks of one that seems dead are taken from it.
    "AIRFLOW__CORE__PARALLELISM": "8",
    "AIRFLOW__SCHEDULER__TRIGGER_TIMEOUT_CHECK_INTERVAL": "2",
    "AIRFLOW__TRIGGERER__ON_KILL_TIMEOUT": str(ON_KILL_TIMEOUT),
    "AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL": "2",
    "AIRFLOW__FLOWJOB__PRELOAD": "True",
}

BEFORE_CREATE = "before the create"
BEFORE_REPLY = "between the create and its reply"
WAITING = "while waiting"
BEFORE_XCOM = "after Complete, before XCom"
POINTS = (BEFORE_CREATE, BEFORE_REPLY, WAITING, BEFORE_XCOM)

Proxied = Callable[[], tuple[ReverseProxy, str]]


@pytest.fixture(scope="module")
def fragile_airflow(new_airflow: NewAirflow) -> Iterator[AirflowInstance]:
    """An Airflow that notices soon that a worker is dead, and whose parts may be killed."""
    with new_airflow(on_postgres=True, environment=FRAGILE) as instance:
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
        self.world = world
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

    def logged_at(self, line: str) -> datetime:
        """Return when this line came into the log of the last try."""
        number = self.task["try_number"]
        messages = self._client.log_messages(self.dag_id, self.run_id, self.task_id, number)
        (at,) = [m["timestamp"] for m in messages if isinstance(m, dict) and m["event"] == line]
        return datetime.fromisoformat(at)

    def effects(self, task_id: str | None = None) -> list[str]:
        """Return the ids of the flow runs that left their line."""
        name = self._name(task_id or self.task_id)
        lines = (self.world.effects / "lines").read_text().splitlines()
        return [line.split()[1] for line in lines if line.split()[0] == name]

    def let_end(self, *task_ids: str) -> None:
        for task_id in task_ids or (self.task_id,):
            (self.world.effects / f"{self._name(task_id)}.end").touch()

    def _name(self, task_id: str) -> str:
        """What the flow calls itself."""
        return f"{self.dag_id}.{self.run_id}.{task_id}"

    def flow_lines(self) -> list[str]:
        """Return the flow's own lines in the log of the last try."""
        number = self.task["try_number"]
        messages = self._client.log_messages(self.dag_id, self.run_id, self.task_id, number)
        events = [message["event"] for message in messages if isinstance(message, dict)]
        return [event for event in events if event in ("started", "ended")]

    def jobs_created(self) -> list[str]:
        return self.world.audit_log.jobs_created(self.key.identifier)

    def jobs(self) -> list[Any]:
        """Return the Jobs that there are now."""
        selector = f"identifier={self.key.identifier}"
        return list(self.world.batch_v1.list_job_for_all_namespaces(label_selector=selector).items)

    def pods(self) -> list[Any]:
        selector = f"identifier={self.key.identifier}"
        return list(self.world.core_v1.list_pod_for_all_namespaces(label_selector=selector).items)

    def wait_for_effects(self, count: int = 1) -> None:
        self._wait(lambda: len(self.effects()) >= count, f"{count} flow runs to begin")

    def wait_for_task(self, *states: str, try_number: int = 0, timeout: float = 120.0) -> None:
        self._client.wait_for_task(
            self.dag_id, self.run_id, self.task_id, states, try_number=try_number, timeout=timeout
        )

    def wait_for_end(self, timeout: float = 120.0) -> str:
        return self._client.wait_for_run(self.dag_id, self.run_id, timeout)

    def wait_until_ready(self) -> None:
        """Wait until the Job has counted its pod: the sweep leaves one alone that just changes."""
        self._wait(lambda: self.jobs()[0].status.ready, "the Job to count its pod")

    def wait_for_completion(self) -> None:
        """Wait until the cluster, not Airflow, says that the Job is over."""
        self._wait(lambda: self.jobs()[0].status.completion_time, "the Job's completion")

    def wait_until_no_pod_is_left(self, seconds: float = 15.0) -> None:
        self._wait(lambda: not self.jobs() and not self.pods(), "Job and pods to be gone", seconds)

    def wait_until_waiting(self) -> None:
        """Wait until the flow runs and Airflow waits for it."""
        self.wait_for_effects()
        self.wait_for_task(self.world.waiting_state)
        # The worker's log has the flow's first line, the triggerer's its own.
        sign = ") starting" if self.world.deferrable else "started"
        self._wait(lambda: sign in self.log(), f"{sign!r} in the log")

    def kill_task(self) -> None:
        """Kill the process of the task, as the machine's memory killer does."""
        os.kill(self.task_process(), signal.SIGKILL)

    def kill_worker(self) -> None:
        """Kill the task's process and the one that supervises it: Airflow hears of nothing."""
        process = self.task_process()
        stat = Path(f"/proc/{process}/stat").read_text()
        supervisor = int(stat.rpartition(")")[2].split()[1])
        for each in (supervisor, process):
            os.kill(each, signal.SIGKILL)

    def task_process(self) -> int:
        process: int = self._wait(lambda: self.task["pid"], "the task's process")
        return process

    def supervisor_process(self) -> int:
        """Return the parent of the task's process."""
        status = Path(f"/proc/{self.task_process()}/stat").read_text()
        # pid (name) state parent ...; the name may hold anything.
        return int(status.rpartition(")")[2].split()[1])

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
        self,
        airflow: AirflowInstance,
        effects: Path,
        audit_log: AuditLog,
        core: Any,
        batch: Any,
        deferrable: bool,
    ) -> None:
        self.airflow, self.effects, self.audit_log = airflow, effects, audit_log
        self.core_v1, self.batch_v1 = core, batch
        self.deferrable = deferrable

    @property
    def waiting_state(self) -> str:
        """The state of a task that waits for its flow run."""
        return "deferred" if self.deferrable else "running"

    def in_mode(self, *, deferrable: bool) -> World:
        """Return the same world, with its tasks waiting in the triggerer or in the worker."""
        return World(
            self.airflow, self.effects, self.audit_log, self.core_v1, self.batch_v1, deferrable
        )

    def dag_id(self, name: str) -> str:
        """Return the name of the DAG that does so in this mode."""
        return f"{name}_deferrable" if self.deferrable else name

    def start(self, name: str = "exactly_one", **arguments: Any) -> Run:
        """Start a run of a DAG."""
        return Run(self, self.dag_id(name), **arguments)


@pytest.fixture
def deferrable() -> bool:
    """Whether the tasks wait in the triggerer; a module with tests of that overrides it."""
    return False


@pytest.fixture
def world(
    fragile_airflow: AirflowInstance,
    effects: Path,
    audit_log: AuditLog,
    core_v1: Any,
    batch_v1: Any,
    deferrable: bool,
) -> Iterator[World]:
    yield World(fragile_airflow, effects, audit_log, core_v1, batch_v1, deferrable)
    # What a failed test left dead must not keep the next one waiting.
    for component in fragile_airflow.components:
        if not component.is_running:
            component.start()
    fragile_airflow.wait_until_healthy()


def slow_kubeconfig(kubeconfig: Path, folder: Path) -> tuple[Path, Path, Path]:
    """Return a kubeconfig whose credentials come once a file exists, and that file.

    Each answer takes that file away. The third file has a line for each time that somebody asked.
    """
    content = yaml.safe_load(kubeconfig.read_text())
    user, go, asked = content["users"][0]["user"], folder / "go", folder / "asked"
    status = {"token": "nobody's"}  # a reverse proxy signs in by itself
    if user:
        status = {
            "clientCertificateData": Path(user["client-certificate"]).read_text(),
            "clientKeyData": Path(user["client-key"]).read_text(),
        }
    credential = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": status,
    }
    (folder / "credential").write_text(json.dumps(credential))
    wait = f"until mv {go} {go}.used 2> /dev/null; do sleep 0.1; done"
    script = f"echo asked >> {asked}; {wait}; cat {folder}/credential"
    content["users"][0]["user"] = {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": "sh",
            "args": ["-c", script],
            "interactiveMode": "Never",
        }
    }
    path = folder / "slow.kubeconfig"
    path.write_text(yaml.safe_dump(content))
    return path, go, asked


@contextmanager
def connection(airflow: AirflowInstance, kubeconfig: Path, namespace: str) -> Iterator[str]:
    """Make a connection of this Airflow's for the time of the block, and give its id."""
    conn_id = f"proxied_{uuid4().hex}"
    extra = {"kube_config_path": str(kubeconfig), "namespace": namespace}
    body = {"connection_id": conn_id, "conn_type": "kubernetes", "extra": json.dumps(extra)}
    airflow.client.request("POST", "connections", json=body)
    try:
        yield conn_id
    finally:
        airflow.client.request("DELETE", f"connections/{conn_id}")


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
            airflow = world.airflow
            conn_id = ending.enter_context(connection(airflow, proxy.kubeconfig, airflow_namespace))
            return proxy, conn_id

        yield new


class Point:
    """A moment in the life of a flow run: how to come to it, and how to go on from it."""

    def __init__(self, name: str, proxy: ReverseProxy) -> None:
        self.name, self._proxy = name, proxy
        self.hold: Hold | None = None
        if name == BEFORE_CREATE:
            self.hold = proxy.hold_request("POST", "/jobs")
        if name == BEFORE_REPLY:
            self.hold = proxy.hold_reply("POST", "/jobs")

    def __repr__(self) -> str:
        return self.name

    def reach(self, run: Run) -> None:
        """Wait until the flow run has come to this point, and hold it there."""
        if self.hold:
            self.hold.wait_until_reached()
            return
        run.wait_until_waiting()
        if self.name != BEFORE_XCOM:
            return
        if run.world.deferrable:
            # The first thing that the worker asks for when it resumes.
            self.hold = self._proxy.hold_request("GET", "/pods")
            run.let_end()
            self.hold.wait_until_reached()
        else:
            self._proxy.stall()
            run.let_end()
            run.wait_for_completion()

    def leave(self) -> None:
        """Let the flow run go on; what was held is lost."""
        if self.hold:
            self.hold.lose()
        self._proxy.flow()
