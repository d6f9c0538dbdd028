"""Makes tasks deferred without running them: thousands of processes would take half an hour.

Run in the environment of an Airflow; the Jobs' metadata, by the tasks' map indexes, come as JSON.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime

from airflow.models.dagrun import DagRun
from airflow.models.taskinstance import TaskInstance
from airflow.models.trigger import Trigger
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState, TaskInstanceState
from sqlalchemy import select, update

from tests.support.triggers import trigger_of


def main() -> None:
    dag_id, run_id, conn_id = sys.argv[1:]
    jobs = json.load(sys.stdin)
    now = datetime.now(UTC)
    with create_session() as session:
        session.execute(
            update(DagRun)
            .where(DagRun.dag_id == dag_id, DagRun.run_id == run_id)
            .values(state=DagRunState.RUNNING, start_date=now)
        )
        tasks = session.scalars(
            select(TaskInstance).where(TaskInstance.dag_id == dag_id, TaskInstance.run_id == run_id)
        ).all()
        assert len(tasks) == len(jobs), f"{len(tasks)} tasks for {len(jobs)} Jobs"
        for task in tasks:
            trigger = Trigger.from_object(
                trigger_of(
                    {"metadata": jobs[task.map_index]},
                    conn_id,
                    dag_id=dag_id,
                    run_id=run_id,
                    task_id=task.task_id,
                    map_index=task.map_index,
                )
            )
            session.add(trigger)
            session.flush()
            task.state = TaskInstanceState.DEFERRED
            task.trigger_id = trigger.id
            task.next_method = "execute_complete"
            task.try_number = 1
            task.start_date = now


if __name__ == "__main__":
    main()
