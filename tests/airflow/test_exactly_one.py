"""Exactly one Job per flow run, whatever dies; killed means gone, lost means kept."""

from __future__ import annotations

import os
import random
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from flowjob.flow_run import TaskInstanceKey
from flowjob.launch.execution import Execution
from flowjob.spec.job_spec import FlowContainer, JobSpec
from tests.support.airflow.sweeping import sweep
from tests.support.airflow.world import (
    BEFORE_CREATE,
    BEFORE_REPLY,
    BEFORE_XCOM,
    POINTS,
    Point,
    Proxied,
    Run,
    World,
    connection,
    slow_kubeconfig,
)
from tests.support.cluster import Cluster
from tests.support.flow_runs import SPEC, FlowRuns, connect, new_flow_run
from tests.support.node.node import Node
from tests.support.wait import wait_for

pytestmark = pytest.mark.usefixtures("own_node")

# As Airflow's server does it for the first of two pushes.
FIRST_PUSH = text("""
    INSERT INTO xcom
        (dag_run_id, task_id, map_index, key, dag_id, run_id, value, timestamp, dag_result)
    SELECT id, 'flow', -1, :key, dag_id, run_id, '"first"', now(), false
    FROM dag_run WHERE run_id = :run_id
""")

# Seconds; longer than one request may take.
OUTAGE = 60


@pytest.mark.parametrize("name", POINTS)
def test_a_killed_task_process_leaves_one_job_whose_flow_ran_once(
    world: World, proxied: Proxied, name: str
) -> None:
    proxy, connection = proxied()
    point = Point(name, proxy)
    run = world.start(connection=connection)
    point.reach(run)
    if run.task["state"] == "deferred":
        tries = 1
        world.airflow.triggerer.kill()
        world.airflow.triggerer.start()
    else:
        tries = 2
        run.kill_task()
    point.leave()
    run.wait_for_task(world.waiting_state, "success", try_number=tries)
    run.let_end()
    assert run.wait_for_end() == "success"
    assert run.task["try_number"] == tries
    assert len(run.jobs_created()) == 1
    assert run.effects() == [run.xcoms["flow_run_id"]]
    assert run.xcoms["status"] == "succeeded"
    assert ("Adopted the Job" in run.log()) == (tries == 2 and name != BEFORE_CREATE)
    # Who has adopted a Job goes on with it, also after it has deferred.
    assert "begins anew" not in run.log()
    assert run.flow_lines() == ["started", "ended"]


def test_an_api_server_that_is_away_for_a_minute_is_waited_for_at_any_point_in_both_modes(
    world: World, proxied: Proxied, own_node: Node
) -> None:
    cases = {}
    for in_mode in (world.in_mode(deferrable=False), world.in_mode(deferrable=True)):
        for name in POINTS:
            proxy, connection = proxied()
            point = Point(name, proxy)
            cases[point] = in_mode.start(connection=connection)
    for point, run in cases.items():
        point.reach(run)
    own_node.kill_api_server()
    for point in cases:
        point.leave()
    time.sleep(OUTAGE)  # the outage itself
    for point, run in cases.items():
        # Whoever knows of the end already may give the rest of the log up.
        early = {"success"} if point.name == BEFORE_XCOM else set()
        assert run.task["state"] in {"running", run.world.waiting_state} | early, point
    own_node.start_api_server()
    for run in cases.values():
        run.let_end()
    for point, run in cases.items():
        assert run.wait_for_end(180) == "success", point
        assert run.task["try_number"] == 1, point
        assert len(run.jobs_created()) == 1, point
        assert run.effects() == [run.xcoms["flow_run_id"]], point


def test_an_xcom_that_airflow_pushes_twice_at_once_fails_no_task(
    world: World, proxied: Proxied
) -> None:
    """Airflow's client asks again after five seconds, its server may be at the first still."""
    proxy, connection = proxied()
    created = proxy.hold_reply("POST", "/jobs")
    run = world.start(connection=connection)
    created.wait_until_reached()
    waits = text("SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
    database = world.airflow.database()
    with database.begin() as first, database.connect() as view:
        first.execute(FIRST_PUSH, {"run_id": run.run_id, "key": "flow_run_id"})
        created.let_go()
        wait_for(lambda: view.execute(waits).scalar(), "the second push")
    run.let_end()
    assert run.wait_for_end() == "success"
    assert run.task["try_number"] == 1
    assert run.effects() == [run.xcoms["flow_run_id"]]


def test_a_lost_reply_of_the_create_leaves_one_job(world: World, proxied: Proxied) -> None:
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
    run.wait_until_waiting()
    run.set_state(state)
    run.wait_until_no_pod_is_left()
    assert run.task["state"] == state
    assert len(run.jobs_created()) == 1
    assert "The task was ended in Airflow" in run.log()


def test_a_run_that_is_marked_failed_leaves_neither_job_nor_pod(world: World) -> None:
    run = world.start()
    run.wait_until_waiting()
    world.airflow.client.set_run_state(run.dag_id, run.run_id, "failed")
    run.wait_until_no_pod_is_left()
    assert len(run.jobs_created()) == 1


def test_a_run_that_times_out_leaves_neither_job_nor_pod(world: World) -> None:
    run = world.start("run_times_out")
    run.wait_until_waiting()
    assert run.wait_for_end() == "failed"
    run.wait_until_no_pod_is_left()
    assert len(run.jobs_created()) == 1


def test_a_cleared_task_leaves_no_pod_and_runs_exactly_one_new_job(world: World) -> None:
    run = world.start()
    run.wait_until_waiting()
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
    assert "The task has timed out: deleting its Job" in run.log()
    assert len(run.jobs_created()) == 1


@pytest.mark.parametrize("name", [BEFORE_CREATE, BEFORE_REPLY])
def test_a_kill_during_the_create_leaves_no_job(world: World, proxied: Proxied, name: str) -> None:
    proxy, connection = proxied()
    hold = Point(name, proxy).hold
    assert hold is not None
    run = world.start(connection=connection)
    hold.wait_until_reached()
    run.set_state("failed")
    wait_for(lambda: "The task was ended in Airflow" in run.log(), "the kill to be heard of")
    hold.let_go()
    wait_for(run.jobs_created, "the Job to be created")
    run.wait_until_no_pod_is_left()
    assert len(run.jobs_created()) == 1


def test_a_kill_while_the_connection_is_loaded_leaves_no_job(
    world: World, cluster: Cluster, airflow_namespace: str, tmp_path: Path
) -> None:
    kubeconfig, go, asked = slow_kubeconfig(cluster.kubeconfig, tmp_path)
    with connection(world.airflow, kubeconfig, airflow_namespace) as conn_id:
        run = world.start(connection=conn_id)
        wait_for(asked.exists, "the connection to be loaded")
        run.set_state("failed")
        wait_for(lambda: "Terminating process" in run.log(), "the signal to be sent")
        go.touch()
        wait_for(lambda: "The task was ended in Airflow" in run.log(), "the kill to be heard of")
        wait_for(lambda: "Task killed!" in run.log(), "the process to end")
    assert run.jobs_created() == []


def test_a_kill_while_the_session_closes_disturbs_nothing(world: World) -> None:
    run = world.start("killed_at_its_end")
    run.let_end()
    assert run.wait_for_end() == "success"
    assert "Asked to end while the session closes" in run.log()


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
            # Each of a task instance of its own: a later try of one would adopt the first Job.
            task_instance = TaskInstanceKey("dag", f"run {count}", "task")
            flow_run = replace(new_flow_run(), task_instance=task_instance)
            manifest = spec.for_flow_run(flow_run, container, namespace=namespace, name=None)

            def launch(runs: FlowRuns, flow_run: Any = flow_run, manifest: Any = manifest) -> str:
                launched = runs.loop.run(Execution(runs.cluster).launch(flow_run, manifest))
                uid: str = launched["metadata"]["uid"]
                return uid

            assert len(set(threads.map(launch, (one, other)))) == 1
            assert len(batch_v1.list_namespaced_job(namespace).items) == count


def test_a_backfill_of_twenty_dates_survives_workers_that_are_killed(world: World) -> None:
    seed = 20260101
    chance = random.Random(seed)
    client, dag_id = world.airflow.client, world.dag_id("many_dates")
    client.wait_for_dag(dag_id)
    client.request("PATCH", f"dags/{dag_id}", json={"is_paused": False})
    world.airflow.cli(
        *("backfill", "create", "--dag-id", dag_id, "--max-active-runs", "5"),
        *("--from-date", "2026-01-01", "--to-date", "2026-01-20"),
    )
    killed = 0

    def finished() -> list[dict[str, Any]] | None:
        runs = [run for run in client.dag_runs(dag_id) if run["run_type"] == "backfill"]
        done = [run for run in runs if run["state"] in ("success", "failed")]
        return done if len(done) == 20 else None

    def kill_one() -> None:
        nonlocal killed
        time.sleep(chance.uniform(0, 3))  # the random moment
        runs = [run for run in client.dag_runs(dag_id) if run["state"] == "running"]
        tasks = [client.task_instance(dag_id, run["dag_run_id"], "flow") for run in runs]
        pids = sorted(task["pid"] for task in tasks if task["state"] == "running" and task["pid"])
        if pids:
            with suppress(ProcessLookupError):  # it has just ended
                os.kill(chance.choice(pids), signal.SIGKILL)
                killed += 1
        elif world.deferrable:
            world.airflow.triggerer.kill()
            world.airflow.triggerer.start()
            killed += 1

    deadline = time.monotonic() + 300
    while (
        not finished() and killed < (6 if world.deferrable else 15) and time.monotonic() < deadline
    ):
        kill_one()
    runs = wait_for(finished, "the twenty runs", 300, 0.5)
    assert {run["state"] for run in runs} == {"success"}
    assert killed >= 5
    lines = (world.effects / "lines").read_text().splitlines()
    names = sorted(line.split()[0] for line in lines if line.startswith(f"{dag_id}.backfill__"))
    assert names == sorted(f"{dag_id}.{run['dag_run_id']}.flow" for run in runs)
    for run in runs:
        key = TaskInstanceKey(dag_id, run["dag_run_id"], "flow")
        assert len(world.audit_log.jobs_created(key.identifier)) == 1
        selector = f"identifier={key.identifier}"
        jobs = world.batch_v1.list_job_for_all_namespaces(label_selector=selector).items
        assert [job.status.active for job in jobs] == [None]


def test_a_task_cleared_after_its_worker_died_adopts_its_job_and_cleared_once_more_begins_anew(
    world: World,
) -> None:
    run = world.start()
    run.wait_until_waiting()
    run.kill_worker()
    run.clear()
    assert run.task["state"] == "restarting"  # Airflow has not noticed the death
    run.wait_for_task("running", try_number=2)
    wait_for(lambda: "Adopted the Job" in run.log(), "the adoption")
    assert len(run.jobs_created()) == len(run.effects()) == 1

    run.clear()
    run.wait_for_effects(2)
    assert [job.metadata.name for job in run.jobs()] == run.jobs_created()[1:]
    run.let_end()
    assert run.wait_for_end() == "success"
    assert len(run.jobs_created()) == 2
    assert run.effects()[1:] == [run.xcoms["flow_run_id"]]


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
    run.wait_until_waiting()
    run.let_end("sibling")
    world.airflow.client.wait_for_task(run.dag_id, run.run_id, "sibling", ["success"])
    run.clear("sibling")
    world.airflow.client.wait_for_task(run.dag_id, run.run_id, "sibling", ["success"], try_number=2)
    assert len(run.effects("sibling")) == 2
    if not world.deferrable:
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


def sweep_deletes_job_of(run: Run, state: str) -> None:
    """Sweep, and see that the run's only Job is deleted as its task has ended in this state."""
    (job,) = run.jobs()
    swept, log = sweep(run.world.airflow.client)
    name = f"{job.metadata.namespace}/{job.metadata.name}"
    assert name in swept
    assert f"Deleted the Job {name}: {run.key} has ended ({state})" in log
    run.wait_until_no_pod_is_left()


def test_the_sweep_deletes_what_nobody_waits_for_and_nothing_else(world: World) -> None:
    lost, alive = world.start("last_try"), world.start()
    for run in (lost, alive):
        run.wait_for_effects()
    lost.kill_task()
    assert lost.wait_for_end() == "failed"
    lost.wait_until_ready()
    sweep_deletes_job_of(lost, "failed")
    alive.let_end()
    assert alive.wait_for_end() == "success"
    assert len(alive.jobs_created()) == len(alive.effects()) == 1


def test_the_sweep_deletes_an_ended_job_whose_worker_died_before_it_could_delete_it(
    world: World,
) -> None:
    run = world.start("cleans_up")
    run.task_id = "delete"
    run.wait_for_effects()
    world.airflow.scheduler.kill()
    run.set_state("success")
    run.let_end("keep", "delete", "delete_succeeded")
    run.wait_for_completion()
    world.airflow.scheduler.start()
    assert run.wait_for_end() == "success"
    sweep_deletes_job_of(run, "success")
    run.task_id = "keep"
    assert len(run.jobs()) == 1


def test_a_worker_that_airflow_gave_up_deletes_no_job_that_the_next_try_adopts(
    world: World,
) -> None:
    run = world.start("cleans_up")
    run.task_id = "delete"
    run.wait_for_effects()
    supervisor = run.supervisor_process()
    os.kill(supervisor, signal.SIGSTOP)
    run.wait_for_task("running", try_number=2)
    wait_for(lambda: "Adopted the Job" in run.log(), "the next try to adopt the Job")
    next_try = run.task_process()
    os.kill(next_try, signal.SIGSTOP)
    run.let_end("keep", "delete", "delete_succeeded")
    run.wait_for_completion()
    os.kill(supervisor, signal.SIGCONT)
    wait_for(lambda: "Task killed!" in run.log(1), "the worker to hear that it was given up")
    os.kill(next_try, signal.SIGKILL)
    assert run.wait_for_end() == "success"
    assert run.task["try_number"] == 3
    assert len(run.jobs_created()) == len(run.effects()) == 1
    run.wait_until_no_pod_is_left()


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
