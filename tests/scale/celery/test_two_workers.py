"""What only two workers and a broker can do to a flow run: die, be drained, or come second."""

from __future__ import annotations

import pytest

from tests.support.airflow.celery import VISIBILITY_TIMEOUT, CeleryAirflow
from tests.support.airflow.world import BEFORE_REPLY, WAITING, Point, Proxied, World
from tests.support.wait import wait_for

pytestmark = pytest.mark.usefixtures("own_node")

in_the_worker = pytest.mark.parametrize("deferrable", [False], indirect=True)
in_both_modes = pytest.mark.parametrize(
    "deferrable", [False, True], ids=["in the worker", "deferrable"], indirect=True
)

# What Airflow's provider says of a message that came a second time.
SECOND_MESSAGE = "Task already running elsewhere, ignoring redelivered message"


@pytest.fixture
def deferrable(request: pytest.FixtureRequest) -> bool:
    return bool(getattr(request, "param", True))


@in_the_worker
def test_the_job_of_a_worker_that_is_killed_is_adopted_by_the_other_worker(
    world: World, celery: CeleryAirflow
) -> None:
    run = world.start()
    run.wait_until_waiting()
    worker, other = celery.workers_of(run)
    worker.kill()
    run.wait_for_task("running", try_number=2)
    assert other.has(run)
    wait_for(lambda: "Adopted the Job" in run.log(), "the adoption")
    run.let_end()
    assert run.wait_for_end() == "success"
    assert run.task["try_number"] == 2
    assert len(run.jobs_created()) == 1
    assert run.effects() == [run.xcoms["flow_run_id"]]


@in_both_modes
def test_a_worker_that_is_killed_during_the_create_leaves_one_job(
    world: World, proxied: Proxied, celery: CeleryAirflow
) -> None:
    proxy, connection = proxied()
    hold = proxy.hold_reply("POST", "/jobs")
    run = world.start(connection=connection)
    hold.wait_until_reached()
    worker, _ = celery.workers_of(run)
    worker.kill()
    hold.lose()
    run.wait_for_task(world.waiting_state, try_number=2)
    run.let_end()
    assert run.wait_for_end() == "success"
    assert len(run.jobs_created()) == 1
    assert run.effects() == [run.xcoms["flow_run_id"]]


@in_the_worker
def test_a_worker_that_is_drained_ends_its_tasks_and_takes_no_new_one(
    world: World, celery: CeleryAirflow
) -> None:
    run = world.start()
    run.wait_until_waiting()
    worker, other = celery.workers_of(run)
    worker.drain()
    later = [world.start() for _ in range(3)]
    for each in later:
        each.wait_until_waiting()
        assert other.has(each)
    assert run.task["state"] == "running"
    for each in (run, *later):
        each.let_end()
        assert each.wait_for_end() == "success"
        assert each.task["try_number"] == len(each.jobs_created()) == len(each.effects()) == 1
    worker.component.wait_until_ended()
    assert run.flow_lines() == ["started", "ended"]


def test_a_task_resumes_on_the_other_worker_once_the_one_that_deferred_it_is_dead(
    world: World, celery: CeleryAirflow, proxied: Proxied
) -> None:
    proxy, connection = proxied()
    hold = proxy.hold_reply("POST", "/jobs")
    run = world.start(connection=connection)
    hold.wait_until_reached()
    worker, other = celery.workers_of(run)
    hold.let_go()
    run.wait_until_waiting()
    worker.kill()
    run.let_end()
    assert run.wait_for_end() == "success"
    assert run.task["try_number"] == len(run.jobs_created()) == 1
    assert run.effects() == [run.xcoms["flow_run_id"]]
    assert str(run.task["id"]) in other.log()


@pytest.mark.parametrize(
    ("deferrable", "name"),
    [(False, BEFORE_REPLY), (False, WAITING), (True, BEFORE_REPLY)],
    indirect=["deferrable"],
)
def test_a_message_that_the_broker_delivers_twice_leaves_one_job(
    world: World, celery: CeleryAirflow, proxied: Proxied, name: str
) -> None:
    def ignored() -> int:
        return sum(worker.log().count(SECOND_MESSAGE) for worker in celery.workers)

    proxy, connection = proxied()
    point = Point(name, proxy)
    before = ignored()
    run = world.start(connection=connection)
    point.reach(run)
    wait_for(lambda: ignored() > before, "the second message", 3 * VISIBILITY_TIMEOUT)
    assert run.task["state"] == "running"
    if point.hold:
        point.hold.let_go()
    run.wait_for_task(world.waiting_state)
    run.let_end()
    assert run.wait_for_end() == "success"
    assert run.task["try_number"] == len(run.jobs_created()) == 1
    assert run.effects() == [run.xcoms["flow_run_id"]]


@in_the_worker
def test_tasks_go_on_in_their_workers_while_the_scheduler_is_away(
    world: World, celery: CeleryAirflow
) -> None:
    goes_on, ends = world.start(), world.start()
    for run in (goes_on, ends):
        run.wait_until_waiting()
    world.airflow.scheduler.kill()
    ends.let_end()
    ends.wait_for_task("success")
    world.airflow.scheduler.start()
    world.airflow.wait_until_healthy()
    goes_on.let_end()
    for run in (goes_on, ends):
        assert run.wait_for_end() == "success"
        assert run.task["try_number"] == len(run.jobs_created()) == len(run.effects()) == 1


@in_the_worker
def test_a_task_goes_on_in_its_worker_while_the_broker_loses_all_that_it_has(
    world: World, celery: CeleryAirflow
) -> None:
    run = world.start()
    run.wait_until_waiting()
    celery.broker.server.kill()
    celery.broker.start()
    after = world.start()
    after.wait_until_waiting()
    for each in (run, after):
        each.let_end()
        assert each.wait_for_end() == "success"
        assert each.task["try_number"] == len(each.jobs_created()) == len(each.effects()) == 1
