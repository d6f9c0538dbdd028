"""The routes of the page: Airflow's own users and rights hold on each."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from airflow.api_fastapi.app import get_auth_manager
from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.core_api.security import GetUserDep, get_user, requires_access_dag
from airflow.utils.session import create_session
from fastapi import Depends, FastAPI, HTTPException, Query, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import FileResponse, StreamingResponse
from sqlalchemy.orm import Session

from flowjob.flow_run import TaskInstanceKey
from flowjob.ui.flow_runs import (
    LONGEST_PAGE,
    Wanted,
    find_flow_runs,
    find_log,
    find_places,
)
from flowjob.ui.job_place import JobPlace
from flowjob.ui.live_log import LiveLog, TooManyError
from flowjob.ui.looks import Looks
from flowjob.ui.secrets import Masker
from flowjob.ui.shown import Listed, shown

_PAGE = Path(__file__).parent / "page"
# The page asks nobody else for anything, and runs no script but its own.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; "
    "connect-src 'self'; frame-ancestors 'self'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}
_Status = Literal["", "running", "succeeded", "failed", "cancelled", "unknown"]
_Text = Annotated[str, Query(max_length=1000)]


@dataclass(frozen=True)
class _Asked:
    """Which page of which flow runs is asked for."""

    wanted: Wanted
    limit: int
    offset: int


def make_app() -> FastAPI:
    """Return the app that Airflow's API server mounts; its every route asks who it is."""
    app = FastAPI(
        title="FlowJob",
        dependencies=[Depends(get_user)],
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
    )
    app.get("/")(_file("index.html"))
    app.get("/page.css")(_file("page.css"))
    app.get("/page.js")(_file("page.js"))
    entities = (DagAccessEntity.TASK_INSTANCE, DagAccessEntity.XCOM)
    rights = [Depends(requires_access_dag("GET", entity)) for entity in entities]
    app.get("/flow-runs", dependencies=rights)(_flow_runs)
    app.get("/flow-runs/now", dependencies=rights)(_now(Looks()))
    logs = [*rights, Depends(requires_access_dag("GET", DagAccessEntity.TASK_LOGS))]
    app.get("/dags/{dag_id}/live-log", dependencies=logs)(_live_log)
    return app


def _file(name: str) -> Any:
    def send() -> FileResponse:
        return FileResponse(_PAGE / name, headers=_HEADERS)

    return send


def _asked(
    status: _Status = "",
    dag: _Text = "",
    text: _Text = "",
    since: datetime | None = None,
    until: datetime | None = None,
    dag_id: _Text = "",
    run_id: _Text = "",
    task_id: _Text = "",
    map_index: int | None = None,
    limit: Annotated[int, Query(ge=1, le=LONGEST_PAGE)] = 50,
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
) -> _Asked:
    """Read the query of a page of flow runs."""
    wanted = Wanted(
        *(status, dag, text, _aware(since), _aware(until), dag_id, run_id, task_id, map_index)
    )
    return _Asked(wanted, limit, offset)


_Question = Annotated[_Asked, Depends(_asked)]


def _flow_runs(user: GetUserDep, response: Response, asked: _Question) -> dict[str, Any]:
    """List flow runs, newest first, of the DAGs that the user may read."""
    response.headers["Cache-Control"] = "no-store"
    with create_session() as session:
        found, more = _find(session, user, asked)
        return {"flow_runs": [shown(each) for each in found], "more": more}


def _now(looks: Looks) -> Any:
    async def look(user: GetUserDep, response: Response, asked: _Question) -> dict[str, Any]:
        """Tell what the cluster shows of those that go on, of a page of flow runs."""
        response.headers["Cache-Control"] = "no-store"
        places = await run_in_threadpool(_places, user, asked)
        seen, failures = await looks.at(places)
        return {"now": {key: asdict(each) for key, each in seen.items()}, "failures": failures}

    return look


def _places(user: Any, asked: _Asked) -> list[JobPlace]:
    with create_session() as session:
        found, _ = _find(session, user, asked)
        return find_places(session, found)


def _find(session: Session, user: Any, asked: _Asked) -> tuple[list[Listed], bool]:
    readable = get_auth_manager().get_authorized_dag_ids(user=user, method="GET")
    wanted = asked.wanted
    if wanted.dag_id and wanted.dag_id not in readable:
        raise HTTPException(403, "Forbidden")
    return find_flow_runs(session, readable, wanted, limit=asked.limit, offset=asked.offset)


async def _live_log(
    request: Request,
    user: GetUserDep,
    dag_id: str,
    run_id: Annotated[str, Query(max_length=1000)],
    task_id: Annotated[str, Query(max_length=1000)],
    map_index: int = -1,
) -> Response:
    """Show the lines of a flow run as they come, to who may read the log of its task."""
    key = TaskInstanceKey(dag_id, run_id, task_id, map_index)
    readable = partial(get_auth_manager().get_authorized_dag_ids, user=user, method="GET")
    if dag_id not in await run_in_threadpool(readable):
        raise HTTPException(403, "Forbidden")
    place = await run_in_threadpool(find_log, key)
    if place is None:
        raise HTTPException(404, "The flow run is none that goes on.")
    mask = await run_in_threadpool(Masker)
    try:
        live = LiveLog(place, mask)
    except TooManyError as error:
        raise HTTPException(503, str(error)) from None
    headers = {**_HEADERS, "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return _Stream(live, request, headers)


class _Stream(StreamingResponse):
    """A live log that is followed no longer than it is sent."""

    def __init__(self, live: LiveLog, request: Request, headers: dict[str, str]) -> None:
        events = live.events(request.is_disconnected)
        super().__init__(events, media_type="text/event-stream", headers=headers)
        self._live = live

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._live.stop()


def _aware(time: datetime | None) -> datetime | None:
    return time.replace(tzinfo=UTC) if time and time.tzinfo is None else time
