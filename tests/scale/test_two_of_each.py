"""Two schedulers and two triggerers at once: what one leaves, the other one goes on with."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator

import pytest
from sqlalchemy import text

from tests.support.airflow import sessions
from tests.support.airflow.component import Component
from tests.support.airflow.fixtures import NewAirflow
from tests.support.airflow.instance import AirflowInstance
from tests.support.airflow.world import FRAGILE, HEARTBEAT_TIMEOUT, Run, World
from tests.support.wait import wait_for

pytestmark = pytest.mark.usefixtures("own_node")

# Seconds without a heartbeat after which Airflow takes a triggerer for dead.
TRIGGERER_THRESHOLD = 10
# Seconds that Airflow takes for the rest: two heartbeats, and the triggers' own start.
MARGIN = 20

FLOWS = 6

TRIGGERERS = text("SELECT id FROM job WHERE job_type = 'TriggererJob' ORDER BY id")
# Whose the waits are that are not over.
HOLDERS = text("SELECT triggerer_id FROM trigger")

in_the_triggerer = pytest.mark.parametrize("deferrable", [True], indirect=True)


@pytest.fixture
def deferrable(request: pytest.FixtureRequest) -> bool:
    return bool(getattr(request, "param", False))


class Pairs:
    """An Airflow with two schedulers and two triggerers, each as if on a machine of its own."""

    def __init__(self, airflow: AirflowInstance) -> None:
        self.airflow = airflow
        self.schedulers = (airflow.scheduler, airflow.add("scheduler of two", "scheduler"))
        self.triggerers = [airflow.triggerer]
        # The triggerers' numbers in Airflow's database, in the order in which they started.
        self._started = [airflow.triggerer]
        wait_for(lambda: len(self._numbers()) == 1, "the first triggerer to sign in")
        self.triggerers.append(airflow.add("triggerer of two", "triggerer"))
        self._signed_in(self.triggerers[1])

    def revive(self) -> None:
        """Start what a test left dead."""
        for scheduler in self.schedulers:
            if not scheduler.is_running:
                scheduler.start()
        for triggerer in self.triggerers:
            if not triggerer.is_running:
                triggerer.start()
                self._signed_in(triggerer)

    def scheduler_of(self, run: Run) -> Component:
        """Return the scheduler whose LocalExecutor has the run's task."""
        session = os.getsid(run.task_process())
        alive = [each for each in self.schedulers if each.is_running]
        return next(each for each in alive if each.process_id == session)

    def holders(self) -> set[Component | None]:
        """Return whose the waits are; None stands for those that nobody has taken yet."""
        with self.airflow.database().connect() as database:
            numbers = {row[0] for row in database.execute(HOLDERS)}
        by_number = dict(zip(self._numbers(), self._started, strict=True))
        return {by_number.get(number) for number in numbers}

    def _signed_in(self, triggerer: Component) -> None:
        self._started.append(triggerer)
        count = len(self._started)
        wait_for(lambda: len(self._numbers()) == count, "the triggerer to sign in", 60)

    def _numbers(self) -> list[int]:
        with self.airflow.database().connect() as database:
            return [row[0] for row in database.execute(TRIGGERERS)]


@pytest.fixture(scope="module")
def _pairs(new_airflow: NewAirflow) -> Iterator[Pairs]:
    environment = FRAGILE | {
        "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": str(TRIGGERER_THRESHOLD)
    }
    with new_airflow(on_postgres=True, environment=environment) as instance:
        yield Pairs(instance)


@pytest.fixture(scope="module")
def fragile_airflow(_pairs: Pairs) -> AirflowInstance:
    return _pairs.airflow


@pytest.fixture
def pairs(_pairs: Pairs, world: World) -> Iterator[Pairs]:
    yield _pairs
    # Before the world does it, which knows nothing of numbers.
    _pairs.revive()


def freeze(component: Component) -> list[int]:
    """Stop a program with all that it started, as a machine does that swaps; return what it was."""
    frozen = sessions.members(component.process_id)
    for process in frozen:
        os.kill(process, signal.SIGSTOP)
    return frozen


def thaw(frozen: list[int]) -> None:
    for process in frozen:
        os.kill(process, signal.SIGCONT)


def start_waits(world: World, pairs: Pairs) -> tuple[list[Run], Component, Component]:
    """Start flows that wait in a triggerer; return them, that triggerer, and the other one."""
    runs = [world.start() for _ in range(FLOWS)]
    for run in runs:
        run.wait_until_waiting()
    # Either takes what it sees first: with luck both have some, and one is enough here.
    holder = next(each for each in pairs.holders() if each is not None)
    (other,) = (each for each in pairs.triggerers if each is not holder)
    return runs, holder, other


def wait_until_adopted(run: Run) -> None:
    wait_for(lambda: "Adopted the Job" in run.log(), "the adoption")


def let_all_end(runs: list[Run]) -> None:
    for run in runs:
        run.let_end()
    for run in runs:
        assert run.wait_for_end() == "success"
        assert len(run.jobs_created()) == 1
        assert run.effects() == [run.xcoms["flow_run_id"]]


@in_the_triggerer
def test_the_waits_of_a_triggerer_that_is_killed_are_taken_over_within_airflows_own_time(
    world: World, pairs: Pairs
) -> None:
    runs, holder, other = start_waits(world, pairs)
    holder.kill()
    begun = time.monotonic()
    wait_for(lambda: pairs.holders() == {other}, "the other triggerer to take the waits", 60)
    assert time.monotonic() - begun < TRIGGERER_THRESHOLD + MARGIN
    let_all_end(runs)
    assert [run.task["try_number"] for run in runs] == [1] * FLOWS


@in_the_triggerer
def test_flows_that_end_before_their_waits_are_taken_over_are_heard_of(
    world: World, pairs: Pairs
) -> None:
    runs, holder, _ = start_waits(world, pairs)
    holder.kill()
    let_all_end(runs)
    assert [run.task["try_number"] for run in runs] == [1] * FLOWS


@in_the_triggerer
def test_a_triggerer_that_comes_back_to_waits_that_were_taken_from_it_deletes_no_job(
    world: World, pairs: Pairs
) -> None:
    runs, holder, other = start_waits(world, pairs)
    frozen = freeze(holder)
    try:
        wait_for(lambda: pairs.holders() == {other}, "the other triggerer to take the waits", 60)
    finally:
        thaw(frozen)
    # It hears of new waits again, after it has let go of those.
    fresh = [world.start() for _ in range(FLOWS)]
    for run in fresh:
        run.wait_until_waiting()
    assert [job.metadata.deletion_timestamp for run in runs for job in run.jobs()] == [None] * FLOWS
    let_all_end(runs + fresh)
    assert [run.task["try_number"] for run in runs] == [1] * FLOWS


def test_the_flow_runs_of_a_scheduler_that_is_killed_go_on_under_the_other_one(
    world: World, pairs: Pairs
) -> None:
    runs = [world.start() for _ in range(FLOWS)]
    for run in runs:
        run.wait_until_waiting()
    scheduler = pairs.scheduler_of(runs[0])
    lost = [run for run in runs if pairs.scheduler_of(run) is scheduler]
    scheduler.kill()
    for run in lost:
        run.wait_for_task("running", try_number=2)
        assert pairs.scheduler_of(run) is not scheduler
        wait_until_adopted(run)
    let_all_end(runs)
    tries = [2 if run in lost else 1 for run in runs]
    assert [run.task["try_number"] for run in runs] == tries


def test_a_scheduler_that_comes_back_to_tasks_that_were_taken_from_it_deletes_no_job(
    world: World, pairs: Pairs
) -> None:
    run = world.start()
    run.wait_until_waiting()
    frozen = freeze(pairs.scheduler_of(run))
    try:
        run.wait_for_task("running", try_number=2, timeout=6 * HEARTBEAT_TIMEOUT)
        wait_until_adopted(run)
    finally:
        thaw(frozen)
    wait_for(lambda: "Task killed!" in run.log(1), "the first try to hear that it was given up", 60)
    assert [job.metadata.deletion_timestamp for job in run.jobs()] == [None]
    let_all_end([run])


@in_the_triggerer
def test_a_scheduler_that_is_killed_as_tasks_defer_and_resume_doubles_no_job(
    world: World, pairs: Pairs
) -> None:
    runs = [world.start() for _ in range(FLOWS)]
    runs[0].wait_for_effects()
    pairs.schedulers[0].kill()
    pairs.schedulers[0].start()
    for run in runs:
        run.wait_until_waiting()
        run.let_end()
    pairs.schedulers[1].kill()
    let_all_end(runs)
