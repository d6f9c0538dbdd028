"""Airflows with the same DAGs that share a namespace: each has Jobs of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from tests.support.airflow.instance import AirflowInstance
from tests.support.airflow.world import Run, World
from tests.support.audit import AuditLog
from tests.support.wait import wait_for

pytestmark = pytest.mark.usefixtures("own_node")

NAME = "AIRFLOW__FLOWJOB__AIRFLOW_NAME"

Twins = Callable[[AirflowInstance], tuple[Run, Run]]


@pytest.fixture
def nameless_airflow(deferring_airflow: AirflowInstance) -> Iterator[AirflowInstance]:
    """An Airflow that does not say who it is; its address is local."""
    name = deferring_airflow.environment.pop(NAME)
    restart(deferring_airflow)
    yield deferring_airflow
    deferring_airflow.environment[NAME] = name
    restart(deferring_airflow)


def restart(airflow: AirflowInstance) -> None:
    """Start what starts the tasks again, with the present environment."""
    airflow.scheduler.kill()
    airflow.scheduler.start()
    airflow.wait_until_healthy()


@pytest.fixture
def twins(
    airflow: AirflowInstance, effects: Path, audit_log: AuditLog, core_v1: Any, batch_v1: Any
) -> Twins:
    """Return a function that starts the same run in the shared Airflow and in another one."""

    def start(other: AirflowInstance) -> tuple[Run, Run]:
        run_id = f"twin-{uuid4().hex}"
        runs = []
        for instance in (airflow, other):
            world = World(instance, effects, audit_log, core_v1, batch_v1, deferrable=False)
            runs.append(world.start(run_id=run_id))
            runs[-1].wait_for_effects(len(runs))
        return runs[0], runs[1]

    return start


def sweep(airflow: AirflowInstance) -> tuple[str, str]:
    """Run the example DAG; return how it ended, and its log."""
    run_id = airflow.client.trigger("flow_job_sweep")
    state = airflow.client.wait_for_run("flow_job_sweep", run_id)
    return state, airflow.client.log("flow_job_sweep", run_id, "sweep")


def adopt(run: Run) -> None:
    """Have a later try adopt the run's own Job."""
    name = run.xcoms["job_name"]
    run.kill_task()
    run.wait_for_task("running", try_number=2)
    wait_for(lambda: f"Adopted the Job {name} of an earlier try" in run.log(), "the adoption")


def test_the_same_run_of_two_airflows_has_a_job_in_each_that_the_other_leaves_alone(
    twins: Twins, deferring_airflow: AirflowInstance
) -> None:
    run, twin = twins(deferring_airflow)
    assert run.key == twin.key
    adopt(twin)
    assert len(set(run.jobs_created())) == len(run.effects()) == len(run.jobs()) == 2

    twin.set_state("failed")
    job = run.xcoms["job_name"]
    wait_for(lambda: [left.metadata.name for left in run.jobs()] == [job], "its Job to be gone")
    state, log = sweep(deferring_airflow)
    assert (state, job in log) == ("success", False)
    (left,) = run.jobs()
    assert left.metadata.deletion_timestamp is None
    run.let_end()
    assert run.wait_for_end() == "success"
    assert run.xcoms["flow_run_id"] == run.effects()[0]
    assert len(run.jobs_created()) == len(run.effects()) == 2


def test_an_airflow_without_a_name_touches_no_job_but_its_own_and_its_sweep_says_what_to_set(
    twins: Twins, nameless_airflow: AirflowInstance
) -> None:
    run, twin = twins(nameless_airflow)
    job = run.xcoms["job_name"]
    assert f"The Job {job} may be an earlier one of this task, or one of another" in twin.log()
    adopt(twin)
    state, log = sweep(nameless_airflow)
    assert state == "failed"
    assert "set [flowjob] airflow_name to a name that no other Airflow has" in log
    assert [left.metadata.deletion_timestamp for left in run.jobs()] == [None, None]
    run.let_end()
    assert (run.wait_for_end(), twin.wait_for_end()) == ("success", "success")
    assert run.effects() == [run.xcoms["flow_run_id"], twin.xcoms["flow_run_id"]]
    assert len(run.jobs_created()) == 2
