"""The GraphQL API of a Prefect 0.x or 1.x of a test's own: no real one can be started any more.

It knows flows and flow runs, and refuses what a real one would: a wrong key, a flow or a flow run
that it does not know, an id that is none.
"""

from __future__ import annotations

from typing import Any, Self
from uuid import UUID, uuid4

from aiohttp import web

from flowjob.worker.loop_thread import LoopThread

KEY = "prefect-key-51f3"

Json = dict[str, Any]


class FakePrefect:
    """A Prefect Server with one project.

    with FakePrefect() as prefect:
        flow_id = prefect.register("sales", "nightly")
        ...                    # a client asks at prefect.url, with KEY
        prefect.flow_runs      # what there is then, by id
    """

    def __init__(self) -> None:
        self.flow_runs: dict[str, Json] = {}
        # Each input of a mutation, in its order.
        self.inputs: list[Json] = []
        # What is answered first, in place of its own answers.
        self.failures: list[web.Response] = []
        self._flows: dict[str, Json] = {}
        self._loop = LoopThread()

    def __enter__(self) -> Self:
        self._loop.__enter__()
        port = self._loop.run(self._start())
        self.url = f"http://127.0.0.1:{port}"
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.run(self._runner.cleanup())
        self._loop.__exit__()

    def register(self, project: str, name: str) -> str:
        """Register a version of a flow, and return its id."""
        flow_id = str(uuid4())
        self._flows[flow_id] = {"project": project, "name": name, "version": len(self._flows)}
        return flow_id

    def set_state(self, run_id: str, state: str, message: str = "") -> None:
        """Set the state of a flow run, as the runner in the flow container does."""
        flow_run = self.flow_runs[run_id]
        flow_run.update(state=state, state_message=message, version=flow_run["version"] + 1)

    def create(self, flow_id: str, **wanted: Any) -> str:
        """Create a flow run, or find the one of the same idempotency key."""
        key = wanted.get("idempotency_key")
        for flow_run in self.flow_runs.values():
            if key and flow_run["wanted"].get("idempotency_key") == key:
                return str(flow_run["id"])
        run_id = str(uuid4())
        self.flow_runs[run_id] = {
            "id": run_id,
            "version": 0,
            "state": "Scheduled",
            "state_message": "Flow run scheduled.",
            "wanted": {"flow_id": flow_id, **wanted},
        }
        return run_id

    async def _start(self) -> int:
        application = web.Application()
        application.router.add_post("/graphql", self._answer)
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
        try:
            return web.json_response({"data": self._data(asked["query"], asked["variables"])})
        except ValueError as error:
            return _error(str(error), "INTERNAL_SERVER_ERROR")

    def _data(self, query: str, variables: Json) -> Json:
        if "flow_run_by_pk" in query:
            run_id = variables["id"]
            if not _is_uuid(run_id):
                raise ValueError(f'invalid input syntax for type uuid: "{run_id}"')
            return {"flow_run_by_pk": self.flow_runs.get(run_id)}
        if "create_flow_run" in query:
            self.inputs.append(variables["input"])
            if variables["input"]["flow_id"] not in self._flows:
                raise ValueError("Flow does not exist")
            return {"create_flow_run": {"id": self.create(**variables["input"])}}
        if "set_flow_run_states" in query:
            self.inputs.append(variables["input"])
            (given,) = variables["input"]["states"]
            flow_run = self.flow_runs[given["flow_run_id"]]
            if given["version"] not in (None, flow_run["version"]):
                raise ValueError("State update failed: version mismatch")
            self.set_state(flow_run["id"], given["state"]["type"], given["state"]["message"])
            told = {"id": flow_run["id"], "status": "SUCCESS", "message": None}
            return {"set_flow_run_states": {"states": [told]}}
        found = [
            (flow["version"], flow_id)
            for flow_id, flow in self._flows.items()
            if (flow["project"], flow["name"]) == (variables["project"], variables["flow"])
        ]
        return {"flow": [{"id": max(found)[1]}] if found else []}


def _error(message: str, code: str) -> web.Response:
    error = {"message": message, "extensions": {"code": code}}
    return web.json_response({"errors": [error], "data": None})


def _is_uuid(text: str) -> bool:
    try:
        return bool(UUID(text))
    except ValueError:
        return False
