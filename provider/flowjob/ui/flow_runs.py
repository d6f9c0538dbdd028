"""``find_flow_runs``: the flow runs that Airflow's database tells of, newest first."""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from airflow.models.dagrun import DagRun
from airflow.models.renderedtifields import RenderedTaskInstanceFields
from airflow.models.taskinstance import TaskInstance
from airflow.models.xcom import XComModel
from airflow.utils.session import create_session
from sqlalchemy import ColumnElement, Select, String, and_, cast, or_, select, tuple_
from sqlalchemy.orm import Session, aliased

from flowjob.flow_run import TaskInstanceKey
from flowjob.ui.job_place import JobPlace
from flowjob.ui.shown import GOES_ON, LINKS, RUNNING, UNKNOWN, Listed, shown
from flowjob.worker.xcom import FLOW_RUN_ID, JOB_NAME, NAMESPACE, OUTCOME, STATUS

LONGEST_PAGE = 100
_KEY = ("dag_id", "run_id", "task_id", "map_index")


@dataclass(frozen=True)
class Wanted:
    """Which flow runs are looked for; None, or an empty text: any.

    :param status: one of ``shown.STATUSES``.
    :param dag: a part of the DAG's id.
    :param text: a part of the ids of task or run, the flow run's id, the Job's name, or the
        sentence of a failure.
    :param since: created at this time or later.
    :param until: created before this time.
    :param dag_id: the DAG, exactly; as for ``run_id``, ``task_id`` and ``map_index``.
    """

    status: str = ""
    dag: str = ""
    text: str = ""
    since: datetime | None = None
    until: datetime | None = None
    dag_id: str = ""
    run_id: str = ""
    task_id: str = ""
    map_index: int | None = None


def find_flow_runs(
    session: Session, dag_ids: Collection[str], wanted: Wanted, *, limit: int, offset: int
) -> tuple[list[Listed], bool]:
    """Return a page of flow runs, and whether there are more.

    It takes two queries, however many there are. An XCom is that of a task's last try, and so are
    the flow runs.

    :param session: of Airflow's database.
    :param dag_ids: the DAGs that may be seen.
    :param limit: flow runs in the page.
    :param offset: flow runs that come before it.
    """
    found = session.execute(_query(dag_ids, wanted).limit(limit + 1).offset(offset)).all()
    rows = found[:limit]
    keys = [(row.dag_run_id, row.task_id, row.map_index) for row in rows]
    xcoms: dict[tuple[Any, ...], dict[str, Any]] = {key: {} for key in keys}
    for dag_run_id, task_id, map_index, key, value in session.execute(_xcoms_of(keys)):
        xcoms[dag_run_id, task_id, map_index][key] = value
    listed = [
        Listed(
            key=TaskInstanceKey(row.dag_id, row.run_id, row.task_id, row.map_index),
            flow_run_id=row.value,
            created_at=row.timestamp,
            state=row.state and str(row.state),
            try_number=row.try_number,
            interval=(row.data_interval_start, row.data_interval_end),
            xcoms=xcoms[key],
        )
        for row, key in zip(rows, keys, strict=True)
    ]
    return listed, len(found) > limit


def find_log(key: TaskInstanceKey) -> JobPlace | None:
    """Return where the log of a task instance's flow run is; None: it has none that goes on."""
    wanted = Wanted(
        *(RUNNING, "", "", None, None, key.dag_id, key.run_id, key.task_id, key.map_index)
    )
    with create_session() as session:
        found, _ = find_flow_runs(session, [key.dag_id], wanted, limit=1, offset=0)
        places = find_places(session, found)
    return next(iter(places), None)


def find_places(session: Session, flow_runs: Collection[Listed]) -> list[JobPlace]:
    """Return where the Jobs are of those flow runs that go on, by one query.

    A task's connection is known from what Airflow keeps of its rendered fields.

    :param session: of Airflow's database.
    """
    going_on = {
        tuple(getattr(run.key, name) for name in _KEY): facts
        for run in flow_runs
        if (facts := shown(run))["status"] == RUNNING
    }
    fields = RenderedTaskInstanceFields
    place = [getattr(fields, name) for name in _KEY]
    asked = select(*place, fields.rendered_fields).where(tuple_(*place).in_(list(going_on)))
    places = []
    for *key, rendered in session.execute(asked):
        facts, conn_id = going_on[tuple(key)], (rendered or {}).get("kubernetes_conn_id")
        if isinstance(conn_id, str):
            names = (facts[name] or "" for name in ("namespace", "job_name", "flow_run_id"))
            places.append(JobPlace(conn_id, *names))
    return places


def _query(dag_ids: Collection[str], wanted: Wanted) -> Select[Any]:
    run, job, status, outcome = (aliased(XComModel) for _ in range(4))
    query = (
        select(
            *(run.dag_run_id, run.dag_id, run.run_id, run.task_id, run.map_index),
            *(run.value, run.timestamp, TaskInstance.state, TaskInstance.try_number),
            *(DagRun.data_interval_start, DagRun.data_interval_end),
        )
        .join(DagRun, DagRun.id == run.dag_run_id)
        .join(TaskInstance, _same(run, TaskInstance, "dag_id", "run_id"))
        # Somebody else's task may push an XCom of this name.
        .join(job, _beside(run, job, JOB_NAME))
        .where(run.key == FLOW_RUN_ID, run.dag_id.in_(dag_ids))
        .order_by(run.timestamp.desc(), run.dag_run_id, run.task_id, run.map_index)
    )
    if wanted.status:
        query = query.outerjoin(status, _beside(run, status, STATUS))
        query = query.where(_has_status(wanted.status, status.value))
    if wanted.text:
        query = query.outerjoin(outcome, _beside(run, outcome, OUTCOME))
        # Within a JSON text, quotes and line breaks are written otherwise.
        written = json.dumps(wanted.text, ensure_ascii=False)[1:-1]
        found = [_contains(column, wanted.text) for column in (run.task_id, run.run_id)]
        found += [_contains(each.value, written) for each in (run, job, outcome)]
        query = query.where(or_(*found))
    if wanted.dag:
        query = query.where(_contains(run.dag_id, wanted.dag))
    if wanted.since:
        query = query.where(run.timestamp >= wanted.since)
    if wanted.until:
        query = query.where(run.timestamp < wanted.until)
    for name in ("dag_id", "run_id", "task_id"):
        if value := getattr(wanted, name):
            query = query.where(getattr(run, name) == value)
    if wanted.map_index is not None:
        query = query.where(run.map_index == wanted.map_index)
    return query


def _xcoms_of(keys: Collection[tuple[Any, ...]]) -> Select[Any]:
    place = (XComModel.dag_run_id, XComModel.task_id, XComModel.map_index)
    names = (JOB_NAME, NAMESPACE, STATUS, OUTCOME, *LINKS)
    return select(*place, XComModel.key, XComModel.value).where(
        tuple_(*place).in_(keys), XComModel.key.in_(names)
    )


def _same(one: Any, other: Any, *columns: str) -> ColumnElement[bool]:
    names = (*columns, "task_id", "map_index")
    return and_(*(getattr(one, name) == getattr(other, name) for name in names))


def _beside(run: Any, other: Any, key: str) -> ColumnElement[bool]:
    return and_(_same(run, other, "dag_run_id"), other.key == key)


def _contains(column: Any, text: str) -> ColumnElement[bool]:
    found: ColumnElement[bool] = cast(column, String).icontains(text, autoescape=True)
    return found


def _has_status(status: str, told: Any) -> ColumnElement[bool]:
    goes_on = or_(TaskInstance.state.is_(None), TaskInstance.state.in_(GOES_ON))
    if status == RUNNING:
        return and_(told.is_(None), goes_on)
    if status == UNKNOWN:
        return and_(told.is_(None), ~goes_on)
    # A JSON text, which has its quotes or not.
    return cast(told, String).in_((status, f'"{status}"', f'"\\"{status}\\""'))
