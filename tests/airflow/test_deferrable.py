"""Waiting in the triggerer: the same promises as in the worker, and what is its own."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.airflow.test_exactly_one import (
    sweep_deletes_job_of,
    test_a_backfill_of_twenty_dates_survives_workers_that_are_killed,
    test_a_cleared_task_leaves_no_pod_and_runs_exactly_one_new_job,
    test_a_completed_task_that_is_cleared_runs_its_flow_again,
    test_a_job_is_deleted_after_its_end_only_where_that_is_asked_for,
    test_a_kill_during_the_create_leaves_no_job,
    test_a_killed_task_process_leaves_one_job_whose_flow_ran_once,
    test_a_lost_reply_of_the_create_leaves_one_job,
    test_a_run_that_is_deleted_and_created_again_runs_its_flow_again,
    test_a_run_that_is_marked_failed_leaves_neither_job_nor_pod,
    test_a_run_that_times_out_leaves_neither_job_nor_pod,
    test_a_task_that_is_marked_leaves_neither_job_nor_pod,
    test_a_task_that_times_out_leaves_neither_job_nor_pod,
    test_clearing_a_sibling_disturbs_nothing,
)
from tests.support.airflow.instance import AirflowInstance
from tests.support.airflow.world import (
    BEFORE_REPLY,
    BEFORE_XCOM,
    ON_KILL_TIMEOUT,
    Point,
    Proxied,
    Run,
    World,
    connection,
    slow_kubeconfig,
)
from tests.support.audit import AuditLog
from tests.support.cluster import Cluster
from tests.support.differences import to_dict
from tests.support.proxy import FaultProxy
from tests.support.reverse_proxy import Hold, ReverseProxy
from tests.support.suspended_jobs import complete
from tests.support.wait import wait_for

__all__ = [
    "test_a_backfill_of_twenty_dates_survives_workers_that_are_killed",
    "test_a_cleared_task_leaves_no_pod_and_runs_exactly_one_new_job",
    "test_a_completed_task_that_is_cleared_runs_its_flow_again",
    "test_a_job_is_deleted_after_its_end_only_where_that_is_asked_for",
    "test_a_kill_during_the_create_leaves_no_job",
    "test_a_killed_task_process_leaves_one_job_whose_flow_ran_once",
    "test_a_lost_reply_of_the_create_leaves_one_job",
    "test_a_run_that_is_deleted_and_created_again_runs_its_flow_again",
    "test_a_run_that_is_marked_failed_leaves_neither_job_nor_pod",
    "test_a_run_that_times_out_leaves_neither_job_nor_pod",
    "test_a_task_that_is_marked_leaves_neither_job_nor_pod",
    "test_a_task_that_times_out_leaves_neither_job_nor_pod",
    "test_clearing_a_sibling_disturbs_nothing",
]

pytestmark = pytest.mark.usefixtures("own_node")

# Seconds.
LONG_OUTAGE = 300
OUTAGE = 2 * ON_KILL_TIMEOUT
LONG_LAUNCH = 6
_OUTAGE_TEST = "test_fifty_tasks_survive_an_outage_of_five_minutes"


@pytest.fixture
def deferrable() -> bool:
    return True


def start_adopted(world: World, proxied: Proxied, name: str) -> Run:
    """Start a run whose second try waits in the triggerer for the first one's Job."""
    proxy, connection = proxied()
    point = Point(BEFORE_REPLY, proxy)
    run = world.start(name, connection=connection)
    point.reach(run)
    run.kill_task()
    point.leave()
    run.wait_for_task("deferred", try_number=2)
    assert "Adopted the Job" in run.log()
    return run


def test_an_adopted_flow_run_ends_with_its_flow_although_a_sidecar_goes_on(
    world: World, proxied: Proxied
) -> None:
    run = start_adopted(world, proxied, "beside_sidecar")
    run.let_end()
    assert run.wait_for_end() == "success"
    assert run.task["try_number"] == 2
    assert len(run.jobs_created()) == len(run.effects()) == 1
    run.wait_until_no_pod_is_left()


def test_an_adopted_flow_run_times_out(world: World, proxied: Proxied) -> None:
    run = start_adopted(world, proxied, "second_try_times_out")
    assert run.wait_for_end() == "failed"
    assert run.xcoms["status"] == "cancelled"
    assert len(run.jobs_created()) == 1
    run.wait_until_no_pod_is_left()


def test_a_triggerer_that_is_replaced_goes_on_waiting(world: World) -> None:
    run = world.start()
    run.wait_until_waiting()
    world.airflow.triggerer.terminate()
    assert [job.metadata.deletion_timestamp for job in run.jobs()] == [None]
    world.airflow.triggerer.start()
    run.let_end()
    assert run.wait_for_end() == "success"
    assert run.task["try_number"] == len(run.jobs_created()) == len(run.effects()) == 1


def test_the_sweep_deletes_the_job_of_a_task_that_was_marked_before_its_trigger_started(
    world: World,
) -> None:
    alive = world.start()
    alive.wait_until_waiting()
    world.airflow.triggerer.kill()
    marked = world.start("last_try")
    marked.wait_for_task("deferred")
    marked.set_state("failed")
    assert marked.wait_for_end() == "failed"
    marked.wait_until_ready()
    sweep_deletes_job_of(marked, "failed")
    world.airflow.triggerer.start()
    alive.let_end()
    assert alive.wait_for_end() == "success"
    assert len(alive.jobs_created()) == 1


def test_a_task_that_is_marked_just_before_it_defers_leaves_no_job(
    world: World, proxied: Proxied
) -> None:
    proxy, connection = proxied()
    hold = proxy.hold_reply("POST", "/jobs")
    run = world.start("last_try", connection=connection)
    hold.wait_until_reached()
    run.set_state("failed")
    hold.let_go()
    run.wait_until_no_pod_is_left()
    assert len(run.jobs_created()) == 1
    assert run.task["state"] == "failed"


def start_in_worker(world: World, name: str = "waits_first") -> Run:
    """Start a run that waits in its worker before it would defer."""
    run = world.start(name)
    run.wait_for_effects()
    run.wait_for_task("running")
    return run


def test_a_worker_that_is_killed_before_it_defers_leaves_one_job_whose_flow_ran_once(
    world: World,
) -> None:
    run = start_in_worker(world)
    run.kill_task()
    run.wait_for_task("running", try_number=2)
    wait_for(lambda: "Adopted the Job" in run.log(), "the Job to be adopted")
    run.let_end()
    assert run.wait_for_end() == "success"
    assert len(run.jobs_created()) == len(run.effects()) == 1
    assert run.flow_lines() == ["started", "ended"]
    assert "DEFERRED" not in run.log()


def test_a_task_that_is_marked_before_it_defers_leaves_neither_job_nor_pod(world: World) -> None:
    run = start_in_worker(world)
    run.set_state("failed")
    run.wait_until_no_pod_is_left()
    assert len(run.jobs_created()) == 1
    assert "the flow run was cancelled, and its Job deleted" in run.log()


def test_a_task_that_times_out_before_it_defers_leaves_neither_job_nor_pod(world: World) -> None:
    run = start_in_worker(world, "times_out_first")
    assert run.wait_for_end() == "failed"
    run.wait_until_no_pod_is_left()
    assert run.xcoms["outcome"]["reason"] == "TaskTimeout"


def fail_trigger(proxy: ReverseProxy, created: Hold) -> None:
    """Let the create's reply go, and have the trigger fail that waits for the Job then."""
    # A worker lists the task's Jobs, by a label; the trigger its own, by its name.
    hold = proxy.hold_request("GET", "/jobs", query="fieldSelector=metadata.name")
    created.let_go()
    hold.wait_until_reached()
    hold.refuse(404)


def test_a_worker_goes_on_waiting_where_the_trigger_failed(world: World, proxied: Proxied) -> None:
    proxy, connection = proxied()
    created = proxy.hold_reply("POST", "/jobs")
    run = world.start(connection=connection)
    created.wait_until_reached()
    fail_trigger(proxy, created)
    run.wait_for_task("running")
    run.let_end()
    assert run.wait_for_end() == "success"
    assert "The trigger failed, so this worker waits by itself" in run.log()
    assert run.xcoms["status"] == "succeeded"
    assert run.task["try_number"] == len(run.jobs_created()) == 1
    assert run.flow_lines() == ["started", "ended"]


def test_a_worker_that_goes_on_waiting_counts_the_time_out_from_the_beginning_of_the_try(
    world: World, proxied: Proxied
) -> None:
    proxy, connection = proxied()
    created = proxy.hold_reply("POST", "/jobs")
    run = world.start("times_out_late", connection=connection)
    created.wait_until_reached()
    (job,) = run.jobs()
    time.sleep(LONG_LAUNCH)  # the launch itself
    fail_trigger(proxy, created)
    assert run.wait_for_end() == "failed"
    run.wait_until_no_pod_is_left()
    assert "The trigger failed, so this worker waits by itself" in run.log()
    timed_out = run.logged_at("The task has timed out: deleting its Job")
    # The DAG says 25: neither since the launch, nor since the task resumed.
    assert (timed_out - job.metadata.creation_timestamp).total_seconds() < 25 + LONG_LAUNCH / 2
    assert run.xcoms["outcome"]["reason"] == "TaskTimeout"
    assert len(run.jobs_created()) == 1


def test_a_kill_of_a_resumed_task_while_the_connection_is_loaded_leaves_no_job(
    world: World, proxied: Proxied, airflow_namespace: str, tmp_path: Path
) -> None:
    proxy, _ = proxied()
    kubeconfig, go, asked = slow_kubeconfig(proxy.kubeconfig, tmp_path)
    created = proxy.hold_reply("POST", "/jobs")
    with connection(world.airflow, kubeconfig, airflow_namespace) as conn_id:
        run = world.start("last_try", connection=conn_id)
        go.touch()
        created.wait_until_reached()
        # The trigger's: it fails, so that the task resumes while its flow goes on.
        hold = proxy.hold_request("GET", "/jobs", query="fieldSelector=metadata.name")
        created.let_go()
        go.touch()
        hold.wait_until_reached()
        hold.refuse(404)
        wait_for(lambda: asked.read_text().count("\n") == 3, "the task to resume", 60)
        (job,) = run.jobs()
        run.set_state("failed")
        wait_for(lambda: "Terminating process" in run.log(), "the signal to be sent")
        go.touch()
        wait_for(lambda: "Task killed!" in run.log(), "the process to end")
    run.wait_until_no_pod_is_left()
    assert "the flow run was cancelled, and its Job deleted" in run.log()
    assert "has no Job" not in run.log()
    assert run.jobs_created() == [job.metadata.name]


def test_a_task_that_is_marked_while_the_api_server_is_away_leaves_no_job_once_it_is_back(
    world: World, cluster: Cluster, airflow_namespace: str, tmp_path: Path
) -> None:
    with (
        FaultProxy(cluster.kubeconfig, tmp_path) as proxy,
        connection(world.airflow, proxy.kubeconfig, airflow_namespace) as conn_id,
    ):
        run = world.start(connection=conn_id)
        run.wait_until_waiting()
        (job,) = run.jobs()
        proxy.cut()
        run.set_state("failed")
        wait_for(lambda: "ended in Airflow: deleting its Job" in run.log(), "the kill to begin")
        time.sleep(OUTAGE)  # the outage itself
        assert [job.metadata.deletion_timestamp for job in run.jobs()] == [None]
        proxy.mend()
        run.wait_until_no_pod_is_left(60)
    told = f"The Job {job.metadata.name} is deleted"
    wait_for(lambda: told in run.log(), "the log to say so")


def test_a_task_that_is_cleared_while_it_resumes_runs_its_flow_again(
    world: World, proxied: Proxied
) -> None:
    proxy, connection = proxied()
    point = Point(BEFORE_XCOM, proxy)
    run = world.start(connection=connection)
    point.reach(run)
    first = run.jobs_created()
    run.clear()
    point.leave()
    run.wait_for_effects(2)
    assert run.wait_for_end() == "success"
    assert run.jobs_created()[:1] == first
    assert len(run.jobs_created()) == len(run.effects()) == 2
    assert run.effects()[1] == run.xcoms["flow_run_id"]


@pytest.fixture(scope="module")
def logs(fragile_airflow: AirflowInstance) -> Callable[..., list[str]]:
    client = fragile_airflow.client
    run_id = client.trigger("logs")
    client.wait_for_run("logs", run_id)

    def lines_of(task_id: str, map_index: int = -1) -> list[str]:
        """Return the flow's own lines, and the one before those of a lost pod."""
        messages = client.log_messages("logs", run_id, task_id, map_index=map_index)
        events = [message["event"] for message in messages if isinstance(message, dict)]
        return [e for e in events if e.startswith(("line ", "begin ", "asked", "The cluster"))]

    return lines_of


def test_a_log_that_is_fetched_in_parts_has_each_line_once_and_in_order(
    logs: Callable[..., list[str]],
) -> None:
    assert logs("in_parts") == [f"line {number}" for number in range(150)]


@pytest.mark.parametrize("map_index", [0, 1])
def test_a_mapped_tasks_log_that_is_fetched_in_parts_is_its_own(
    logs: Callable[..., list[str]], map_index: int
) -> None:
    first, *lines = logs("mapped", map_index)
    assert first == f'line {{"number": {map_index + 1}}}'
    assert lines == [f"line {number}" for number in range(150)]


def test_the_last_lines_of_a_pod_that_the_cluster_takes_away_are_kept(
    logs: Callable[..., list[str]],
) -> None:
    first, *lines = logs("deadline")
    assert first.startswith("The cluster takes the pod deadline-")
    assert lines == [*(f"line {number}" for number in range(101, 200)), "asked to end"]


def test_what_the_node_still_has_of_a_restarted_container_arrives_once(
    logs: Callable[..., list[str]],
) -> None:
    # It may have thrown the first container's log away by the time a worker asks.
    assert logs("restarts") in (["begin 1", "begin 2"], ["begin 2"])


class Waits:
    """A run of many tasks that wait, each for a suspended Job."""

    def __init__(self, airflow: AirflowInstance, batch_v1: Any, namespace: str, count: int) -> None:
        self._airflow, self._batch_v1, self._namespace = airflow, batch_v1, namespace
        self.count, self.dag_id = count, f"waits_{count}"

    def start(self, connection: str = "kubernetes_default") -> None:
        self.run_id = self._airflow.client.trigger(self.dag_id, conf={"connection": connection})
        self._wait(lambda: self.count_in("deferred") == self.count, "all to be deferred", 300)
        self.wait_for_triggers(1)

    def wait_for_triggers(self, times: int) -> None:
        """Wait until a triggerer has taken each of them, so many times."""
        what = f"{self.count} triggers to be started {times} times"
        self._wait(
            lambda: len(self._airflow.trigger_logs(self.dag_id)) >= times * self.count, what, 120
        )

    def count_in(self, state: str) -> int:
        return self._airflow.client.count_task_instances(self.dag_id, self.run_id, state)

    def jobs(self) -> list[Any]:
        jobs = self._batch_v1.list_namespaced_job(self._namespace).items
        return [job for job in jobs if job.metadata.name.startswith(f"waits-{self.count}-")]

    def end_jobs(self) -> dict[str, float]:
        """End all the Jobs; return when each was."""
        ended = {}
        for job in self.jobs():
            complete(self._batch_v1, to_dict(job))
            ended[job.metadata.name] = time.time()
            # All at once, it would be Airflow's own handling of events that is measured.
            time.sleep(0.05)
        return ended

    def fired(self) -> dict[str, float]:
        """Return when the trigger of each Job fired."""
        fired = {}
        for file in self._airflow.trigger_logs(self.dag_id):
            for line in file.read_text().splitlines():
                entry = json.loads(line)
                if entry["event"] == "Trigger fired event":
                    name = re.search(r"waits-\d+-[0-9a-f]+", str(entry["result"]))
                    assert name is not None
                    fired[name[0]] = datetime.fromisoformat(entry["timestamp"]).timestamp()
        return fired

    def wait_for_success(self) -> None:
        client = self._airflow.client
        assert client.wait_for_run(self.dag_id, self.run_id, timeout=300) == "success"
        assert self.count_in("success") == self.count
        assert len(self.jobs()) == self.count

    def _wait(self, condition: Callable[[], bool], what: str, seconds: float) -> None:
        self._airflow.client.wait_for(condition, what, seconds)


@pytest.mark.alone
def test_two_hundred_tasks_wait_on_one_watch_and_hear_of_each_end_within_a_second(
    world: World, audit_log: AuditLog, airflow_namespace: str
) -> None:
    waits = Waits(world.airflow, world.batch_v1, airflow_namespace, 200)
    waits.start()
    mark = audit_log.position()
    time.sleep(30)  # in which requests are counted: ten a minute
    assert audit_log.count(since=mark, user_agent="flowjob/") <= 5

    world.airflow.triggerer.kill()
    restarted = audit_log.position()
    world.airflow.triggerer.start()
    waits.wait_for_triggers(2)
    watches: dict[str, Any] = {"verb": "watch", "user_agent": "flowjob/"}
    watches["namespace"] = airflow_namespace
    wait_for(lambda: audit_log.count(since=restarted, **watches) >= 2, "the triggerer's watches")
    ended = waits.end_jobs()
    waits.wait_for_success()
    fired = waits.fired()
    lags = sorted(fired[name] - at for name, at in ended.items() if name in fired)
    # Airflow loses many of the last lines that are logged from triggers: what it keeps is a sample.
    # tests/cluster/wait/test_flow_run_watch.py has the times of all.
    assert len(lags) >= 20
    assert lags[int(len(lags) * 0.95)] < 1


class Outage:
    """Fifty tasks that wait, and whose way to the API server is cut for minutes."""

    def __init__(self, waits: Waits, proxy: FaultProxy) -> None:
        self._waits, self._proxy = waits, proxy
        self._begun = time.monotonic()
        proxy.cut()

    def end(self) -> None:
        time.sleep(max(self._begun + LONG_OUTAGE - time.monotonic(), 0))  # the outage itself
        assert self._waits.count_in("deferred") == 50
        self._waits.end_jobs()
        self._proxy.mend()
        self._waits.wait_for_success()


@pytest.fixture(scope="module", autouse=True)
def outage(
    request: pytest.FixtureRequest,
    fragile_airflow: AirflowInstance,
    batch_v1: Any,
    cluster: Cluster,
    airflow_namespace: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Outage | None]:
    """Begin an outage of five minutes before all the other tests, which go on meanwhile."""
    if not any(item.name == _OUTAGE_TEST for item in request.session.items):
        yield None
        return
    folder = tmp_path_factory.mktemp("outage")
    with (
        FaultProxy(cluster.kubeconfig, folder) as proxy,
        connection(fragile_airflow, proxy.kubeconfig, airflow_namespace) as conn_id,
    ):
        waits = Waits(fragile_airflow, batch_v1, airflow_namespace, 50)
        waits.start(conn_id)
        yield Outage(waits, proxy)


def test_fifty_tasks_survive_an_outage_of_five_minutes(outage: Outage) -> None:
    outage.end()
