"""The GraphQL API of a Prefect 0.x or 1.x of a test's own: no real one can be started any more.

It answers what our client asks, and a real Prefect 0.15 that runs a flow; it remembers the states
that come, and refuses what a real one would: a wrong key, a flow or a flow run that it does not
know, an id that is none, a state that is out of date.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self
from uuid import UUID, uuid4

from aiohttp import web

from flowjob.worker.loop_thread import LoopThread

KEY = "prefect-key-51f3"

Json = dict[str, Any]

# An argument that stands in a query, as Prefect's client writes it.
_INLINE = re.compile(r"\b(id|flow_run_id|task_id|task_run_id|map_index|_eq): \"?([^\",}\s)]+)")


@dataclass
class _Flow:
    """A version of a flow that is registered."""

    project: str
    name: str
    version: int
    storage: Json
    # The ids of its tasks, by their slugs.
    tasks: dict[str, str]


@dataclass
class FakeRun:
    """A flow run or a task run."""

    id: str
    wanted: Json
    version: int = 0
    # As they came: the last one is the run's state.
    states: list[Json] = field(default_factory=list)

    @property
    def state(self) -> str:
        """The name of its state."""
        return str(self.states[-1]["type"])

    @property
    def message(self) -> str | None:
        """What its state says."""
        message: str | None = self.states[-1].get("message")
        return message

    def to_json(self) -> Json:
        """Return it as the API tells of it."""
        return {
            "id": self.id,
            "version": self.version,
            "state": self.state,
            "state_message": self.message,
            "serialized_state": self.states[-1],
        }


class FakePrefect:
    """A Prefect Server.

    with FakePrefect() as prefect:
        flow_id = prefect.register("sales", "nightly")
        ...                    # a client asks at prefect.url, with KEY
        prefect.flow_runs      # what there is then, by id
    """

    def __init__(self) -> None:
        self.flow_runs: dict[str, FakeRun] = {}
        self.task_runs: dict[str, FakeRun] = {}
        # The lines that flows log, and the input of each mutation of a flow run.
        self.log: list[str] = []
        self.inputs: list[Json] = []
        # What is answered first, in place of its own answers.
        self.failures: list[web.Response] = []
        self._flows: dict[str, _Flow] = {}
        self._loop = LoopThread()

    def __enter__(self) -> Self:
        self._loop.__enter__()
        port = self._loop.run(self._start())
        self.url = f"http://127.0.0.1:{port}"
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.run(self._runner.cleanup())
        self._loop.__exit__()

    def register(
        self, project: str, name: str, storage: Json | None = None, tasks: Sequence[str] = ()
    ) -> str:
        """Register a version of a flow with these slugs of tasks, and return its id."""
        flow_id, ids = str(uuid4()), {slug: str(uuid4()) for slug in tasks}
        self._flows[flow_id] = _Flow(project, name, len(self._flows), storage or {}, ids)
        return flow_id

    def set_state(self, run_id: str, state: str, message: str = "") -> None:
        """Set the state of a flow run, as the runner in the flow container does."""
        _change(self.flow_runs[run_id], {"type": state, "message": message})

    def create(self, flow_id: str, **wanted: Any) -> str:
        """Create a flow run, or find the one of the same idempotency key."""
        key = wanted.get("idempotency_key")
        for flow_run in self.flow_runs.values():
            if key and flow_run.wanted.get("idempotency_key") == key:
                return flow_run.id
        flow_run = FakeRun(str(uuid4()), {"flow_id": flow_id, **wanted})
        flow_run.states.append({"type": "Scheduled", "message": "Flow run scheduled."})
        self.flow_runs[flow_run.id] = flow_run
        return flow_run.id

    async def _start(self) -> int:
        application = web.Application()
        # Prefect's client asks at the root since 0.15.
        for path in ("/graphql", "/"):
            application.router.add_post(path, self._answer)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        port: int = self._runner.addresses[0][1]
        return port

    async def _answer(self, request: web.Request) -> web.Response:
        asked = await request.json()
        if self.failures:
            return self.failures.pop(0)
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return _error("Unauthenticated", "UNAUTHENTICATED")
        given = asked.get("variables") or {}
        # Prefect's own client sends them as text.
        variables = (json.loads(given) if isinstance(given, str) else given) or {}
        query: str = asked["query"]
        name, arguments = _name(query), {**dict(_INLINE.findall(query)), **variables}
        try:
            data = getattr(self, f"_answer_{name}")(arguments, variables.get("input") or {})
        except ValueError as error:
            return _error(str(error), "INTERNAL_SERVER_ERROR")
        return web.json_response({"data": {name: data}})

    def _answer_hello(self, arguments: Json, given: Json) -> str:
        return "hello"

    def _answer_auth_info(self, arguments: Json, given: Json) -> Json:
        return {"tenant_id": str(UUID(int=1))}

    def _answer_flow(self, arguments: Json, given: Json) -> list[Json]:
        names = arguments["project"], arguments["flow"]
        found = [
            (flow.version, flow_id)
            for flow_id, flow in self._flows.items()
            if (flow.project, flow.name) == names
        ]
        return [{"id": max(found)[1]}] if found else []

    def _answer_flow_run(self, arguments: Json, given: Json) -> list[Json]:
        found = self._flow_run(arguments["_eq"])
        return [found] if found else []

    def _answer_flow_run_by_pk(self, arguments: Json, given: Json) -> Json | None:
        return self._flow_run(arguments["id"])

    def _answer_create_flow_run(self, arguments: Json, given: Json) -> Json:
        self.inputs.append(given)
        if given["flow_id"] not in self._flows:
            raise ValueError("Flow does not exist")
        return {"id": self.create(**given)}

    def _answer_set_flow_run_states(self, arguments: Json, given: Json) -> Json:
        self.inputs.append(given)
        return {"states": [_change_given(self.flow_runs, "flow_run_id", given)]}

    def _answer_set_task_run_states(self, arguments: Json, given: Json) -> Json:
        return {"states": [_change_given(self.task_runs, "task_run_id", given)]}

    def _answer_get_or_create_task_run_info(self, arguments: Json, given: Json) -> Json:
        names = ("flow_run_id", "task_id", "map_index")
        return self._task_run(*(str(arguments[name]) for name in names)).to_json()

    def _answer_write_run_logs(self, arguments: Json, given: Json) -> Json:
        self.log += [str(line.get("message")) for line in given["logs"]]
        return {"success": True}

    def _answer_update_flow_run_heartbeat(self, arguments: Json, given: Json) -> Json:
        return {"success": True}

    _answer_update_task_run_heartbeat = _answer_update_flow_run_heartbeat

    def _flow_run(self, run_id: str) -> Json | None:
        if not _is_uuid(run_id):
            raise ValueError(f'invalid input syntax for type uuid: "{run_id}"')
        flow_run = self.flow_runs.get(run_id)
        if flow_run is None:
            return None
        flow_id = flow_run.wanted["flow_id"]
        flow = self._flows.get(flow_id) or _Flow("", "", 0, {}, {})
        task_runs = [
            {
                **self._task_run(run_id, task_id, "-1").to_json(),
                "task": {"id": task_id, "slug": slug},
            }
            for slug, task_id in flow.tasks.items()
        ]
        return {
            **flow_run.to_json(),
            "name": "blue-cow",
            "flow_id": flow_id,
            "parameters": flow_run.wanted.get("parameters") or {},
            "context": {},
            "scheduled_start_time": "2026-01-01T00:00:00+00:00",
            "task_runs": task_runs,
            "flow": {
                "name": flow.name,
                "storage": flow.storage,
                "settings": {"heartbeat_enabled": False},
                "project": {"id": str(UUID(int=2)), "name": flow.project},
            },
        }

    def _task_run(self, flow_run_id: str, task_id: str, map_index: str) -> FakeRun:
        key = "/".join((flow_run_id, task_id, map_index))
        if key not in self.task_runs:
            self.task_runs[key] = FakeRun(key, {}, states=[{"type": "Pending", "message": None}])
        return self.task_runs[key]


def _change_given(runs: dict[str, FakeRun], key: str, given: Json) -> Json:
    (each,) = given["states"]
    run = runs[each[key]]
    if each["version"] not in (None, run.version):
        raise ValueError("State update failed: version mismatch")
    _change(run, each["state"])
    return {"id": run.id, "status": "SUCCESS", "message": None}


def _change(run: FakeRun, state: Json) -> None:
    run.states.append(state)
    run.version += 1


def _name(query: str) -> str:
    """Return what a query asks for: the first name within its braces."""
    found = re.search(r"\{\s*(\w+)", query)
    assert found is not None
    return found[1]


def _error(message: str, code: str) -> web.Response:
    error = {"message": message, "extensions": {"code": code}}
    return web.json_response({"errors": [error], "data": None})


def _is_uuid(text: str) -> bool:
    try:
        return bool(UUID(text))
    except ValueError:
        return False
