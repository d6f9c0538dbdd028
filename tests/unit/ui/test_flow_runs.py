"""Which flow runs are found in Airflow's database, and what that costs."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from airflow.models import import_all_models
from airflow.models.dagrun import DagRun
from airflow.models.renderedtifields import RenderedTaskInstanceFields
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from sqlalchemy import Engine, create_engine, event, insert
from sqlalchemy.orm import Session

from flowjob.ui.flow_runs import Wanted, find_flow_runs, find_places
from flowjob.ui.job_place import JobPlace

BEGIN = datetime(2026, 2, 3, tzinfo=UTC)
MANY = 20_000
DAGS = ("sales", "stock", "hidden")


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    """A database with Airflow's tables and many flow runs: one each minute, of three DAGs."""
    made = create_engine("sqlite://")
    tables: list[Any] = [model.__table__ for model in (DagRun, TaskInstance, XComModel)]
    # They refer to one another.
    import_all_models()  # type: ignore[no-untyped-call]
    DagRun.metadata.create_all(made)
    rows: dict[Any, list[dict[str, Any]]] = {table: [] for table in tables}
    for number in range(MANY):
        add(rows, tables, number)
    with made.begin() as connection:
        for table, content in rows.items():
            connection.execute(insert(table), content)
    yield made
    made.dispose()


def add(rows: dict[Any, list[dict[str, Any]]], tables: list[Any], number: int) -> None:
    dag_runs, task_instances, xcoms = tables
    dag_id, run_id = DAGS[number % 3], f"run_{number}"
    at = BEGIN + timedelta(minutes=number)
    place = {"dag_id": dag_id, "run_id": run_id, "task_id": "load", "map_index": -1}
    facts = {"run_type": "manual", "run_after": at, "state": "running"}
    rows[dag_runs].append({"id": number, "dag_id": dag_id, "run_id": run_id, **facts})
    ended = {0: "succeeded", 1: "failed"}.get(number % 4)
    rows[task_instances].append(
        {
            # A text in Airflow 3.1.
            "id": task_instances.c.id.type.python_type(str(uuid4())),
            **{"pool": "p", "pool_slots": 1, "priority_weight": 1, "try_number": 1},
            **{"state": ("success" if ended else "deferred"), "max_tries": 0, **place},
        }
    )
    told: dict[str, Any] = {"flow_run_id": f"id-{number}", "job_name": f"load-{number}"}
    told |= {"namespace": "flows"}
    if ended:
        told |= {"status": ended, "outcome": {"message": f'it "100%" {ended}\n<b>{number}</b>'}}
    rows[xcoms] += [
        {"dag_run_id": number, "key": key, "value": value, "timestamp": at, **place}
        for key, value in told.items()
    ]


@pytest.fixture
def session(engine: Engine) -> Iterator[Session]:
    with Session(engine) as opened:
        yield opened


def numbers(session: Session, **wanted: Any) -> list[int]:
    found, _ = find_flow_runs(session, ["sales", "stock"], Wanted(**wanted), limit=50, offset=0)
    return [int(run.key.run_id.removeprefix("run_")) for run in found]


def test_the_newest_come_first_and_each_page_begins_where_the_last_one_ended(
    session: Session,
) -> None:
    seen: list[int] = []
    for offset in (0, 10, 20):
        page, more = find_flow_runs(session, ["sales"], Wanted(), limit=10, offset=offset)
        seen += [int(run.key.run_id.removeprefix("run_")) for run in page]
        assert more
    assert seen == [number for number in range(MANY - 1, 0, -1) if number % 3 == 0][:30]
    last = MANY // 3 - 3
    page, more = find_flow_runs(session, ["sales"], Wanted(), limit=10, offset=last)
    assert (page[-1].key.run_id, more) == ("run_0", False)


def test_a_dag_that_may_not_be_seen_is_not_found_by_any_name(session: Session) -> None:
    assert numbers(session, dag_id="hidden") == []
    assert numbers(session, dag="hidden") == []
    assert numbers(session, text="id-2") != []
    assert all(number % 3 != 2 for number in numbers(session, text="id-2"))
    assert find_flow_runs(session, [], Wanted(), limit=10, offset=0) == ([], False)


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ({"status": "failed"}, lambda number: number % 4 == 1),
        ({"status": "succeeded"}, lambda number: number % 4 == 0),
        ({"status": "running"}, lambda number: number % 4 > 1),
        ({"status": "unknown"}, lambda number: False),
        ({"dag": "TOC"}, lambda number: number % 3 == 1),
        ({"run_id": "run_7"}, lambda number: number == 7),
        ({"text": "ID-19998"}, lambda number: number == 19998),
        ({"text": "load-1999"}, lambda number: str(number).startswith("1999")),
        # Neither % nor _ stands for something else.
        ({"text": '"100%" failed\n<b>'}, lambda number: number % 4 == 1),
        ({"text": "load_1"}, lambda number: False),
        ({"text": "' or 1=1 --"}, lambda number: False),
        ({"since": BEGIN + timedelta(minutes=19_990)}, lambda number: number >= 19_990),
        ({"until": BEGIN + timedelta(minutes=9)}, lambda number: number < 9),
        ({"map_index": 3}, lambda number: False),
    ],
)
def test_flow_runs_are_found_by_all_that_is_known_of_them(
    session: Session, wanted: dict[str, Any], found: Any
) -> None:
    expected = [n for n in range(MANY - 1, -1, -1) if n % 3 != 2 and found(n)]
    assert numbers(session, **wanted) == expected[:50]


def test_a_page_of_many_flow_runs_takes_two_questions_and_no_time(
    engine: Engine, session: Session
) -> None:
    asked: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
    began = time.process_time()
    found, _ = find_flow_runs(session, DAGS, Wanted(text="0", dag="s"), limit=100, offset=5000)
    print(f"{time.process_time() - began:.3f} s of CPU")
    assert len(found) == 100
    assert len(asked) == 2
    assert found[0].xcoms["namespace"] == "flows"


def test_the_cluster_is_asked_by_one_question_for_those_alone_that_go_on(
    engine: Engine, session: Session
) -> None:
    found, _ = find_flow_runs(session, ["sales"], Wanted(), limit=100, offset=0)
    rows: list[dict[str, Any]] = []
    for run in found[::2]:
        key = {name: getattr(run.key, name) for name in ("dag_id", "run_id", "task_id")}
        fields: dict[str, Any] = {"kubernetes_conn_id": "abroad"}
        rows.append({**key, "map_index": -1, "rendered_fields": fields, "k8s_pod_yaml": None})
    session.execute(insert(RenderedTaskInstanceFields), rows)
    asked: list[str] = []
    event.listen(engine, "before_cursor_execute", lambda *given: asked.append(given[2]))
    places = find_places(session, found)
    session.rollback()
    assert len(asked) == 1
    going_on = {run.flow_run_id for run in found[::2] if "status" not in run.xcoms}
    assert {place.flow_run_id for place in places} == going_on
    number = places[0].flow_run_id.removeprefix("id-")
    expected = JobPlace("abroad", "flows", f"load-{number}", f"id-{number}")
    assert places[0] == expected
