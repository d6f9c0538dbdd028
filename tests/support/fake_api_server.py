"""An API server of a test's own, for what a real one cannot be made to answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import yaml
from aiohttp import web

from flowjob.worker.loop_thread import LoopThread
from tests.support.wait import wait_for

Manifest = dict[str, Any]


@dataclass(frozen=True)
class Answer:
    """What is answered: JSON or the very bytes, and whether the answer goes on or breaks after."""

    body: Manifest | bytes = b""
    status: int = 200
    goes_on: bool = False
    breaks: bool = False
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def content(self) -> bytes:
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


@dataclass(frozen=True)
class Asked:
    """A request that came."""

    verb: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]


Reaction = Answer | Callable[[Asked], Answer]


def status(code: int, reason: str, message: str) -> Answer:
    """Answer with an error as the API server does."""
    body = {"kind": "Status", "apiVersion": "v1", "status": "Failure"}
    return Answer({**body, "code": code, "reason": reason, "message": message}, code)


UNAUTHORIZED = status(401, "Unauthorized", "Unauthorized")
PAGE = Answer(b"<html><body>The gateway is being updated.</body></html>\n")


def forbidden(verb: str, resource: str) -> Answer:
    """Answer as to one who lacks a right."""
    told = f'User "flow" cannot {verb} resource "{resource}" in API group "batch" in the namespace'
    return status(403, "Forbidden", f'{resource}.batch is forbidden: {told} "flows"')


def job(name: str, version: int = 1) -> Manifest:
    """Return a Job as the API server tells of it."""
    metadata = {
        "name": name,
        "namespace": "flows",
        "uid": f"uid-of-{name}",
        "resourceVersion": str(version),
        "labels": {"flow_run_id": f"id-of-{name}"},
        "creationTimestamp": "2026-01-01T00:00:00Z",
    }
    spec = {"template": {"spec": {"containers": [{"name": "flow-container"}]}}}
    return {"kind": "Job", "apiVersion": "batch/v1", "metadata": metadata, "spec": spec}


def completed_job(name: str) -> Manifest:
    """Return a Job that has ended well."""
    conditions = [{"type": "Complete", "status": "True"}]
    return job(name, 9) | {"status": {"conditions": conditions, "succeeded": 1}}


NO_PODS = Answer({"kind": "PodList", "metadata": {"resourceVersion": "1"}, "items": []})


def job_list(*jobs: Manifest, version: int = 1, goes_on: str = "") -> Answer:
    """Answer with a page of a list; with `goes_on`, there is another one."""
    metadata = {"resourceVersion": str(version), "continue": goes_on}
    return Answer({"kind": "JobList", "metadata": metadata, "items": list(jobs)})


def event(kind: str, item: Manifest) -> bytes:
    """Return a line of a watch."""
    return json.dumps({"type": kind, "object": item}).encode() + b"\n"


class FakeApiServer:
    """Answers what it was told to; each answer once, and the last one again and again.

    with FakeApiServer(tmp_path) as server:
        server.tell("GET", "/jobs/sales", UNAUTHORIZED, Answer(job("sales")))
        ...                    # a client with server.kubeconfig asks
        server.asked           # what came, in its order

    The verb of a watch is "WATCH".
    """

    def __init__(self, folder: Path, user: Manifest | None = None, host: str = "") -> None:
        self.kubeconfig = folder / "fake.kubeconfig"
        self.asked: list[Asked] = []
        self._user = user or {}
        self._host = host
        self._told: dict[tuple[str, str], list[Reaction]] = {}
        self._loop = LoopThread()

    def __enter__(self) -> Self:
        self._loop.__enter__()
        self.port: int = self._loop.run(self._start())
        server = f"http://{self._host or f'127.0.0.1:{self.port}'}"
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "fake", "cluster": {"server": server}}],
            "users": [{"name": "flow", "user": self._user}],
            "contexts": [{"name": "fake", "context": {"cluster": "fake", "user": "flow"}}],
            "current-context": "fake",
        }
        self.kubeconfig.write_text(yaml.safe_dump(content))
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.run(self._stop())
        self._loop.__exit__()

    def tell(self, verb: str, path_end: str, *answers: Reaction) -> None:
        """Set what such requests are answered with from now on."""
        self._told[verb, path_end] = list(answers)

    def count(self, verb: str, path_end: str = "") -> int:
        """Return how many such requests came."""
        return sum(each.verb == verb and each.path.endswith(path_end) for each in self.asked)

    def wait_for(self, count: int, verb: str, path_end: str) -> None:
        """Wait until so many such requests have come."""
        wait_for(lambda: self.count(verb, path_end) >= count, f"{count} {verb} ...{path_end}")

    async def _start(self) -> int:
        self._ending = asyncio.Event()
        application = web.Application(client_max_size=2**24)
        application.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0, backlog=1024).start()
        port: int = self._runner.addresses[0][1]
        return port

    async def _stop(self) -> None:
        self._ending.set()
        await self._runner.cleanup()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        await request.read()
        verb = "WATCH" if "watch" in request.query else request.method
        asked = Asked(verb, request.path, dict(request.query), dict(request.headers))
        self.asked.append(asked)
        answer = self._next(asked)
        response = web.StreamResponse(status=answer.status, headers=answer.headers)
        response.enable_chunked_encoding()
        await response.prepare(request)
        # Who asked may have gone.
        with suppress(ConnectionError):
            if answer.content:
                await response.write(answer.content)
            if answer.goes_on:
                await self._ending.wait()
            if answer.breaks:
                assert request.transport is not None
                request.transport.abort()
                return response
            await response.write_eof()
        return response

    def _next(self, asked: Asked) -> Answer:
        for (verb, path_end), answers in self._told.items():
            if verb == asked.verb and asked.path.endswith(path_end):
                answer = answers.pop(0) if len(answers) > 1 else answers[0]
                return answer if isinstance(answer, Answer) else answer(asked)
        return status(404, "NotFound", f"{asked.verb} {asked.path} was told nothing")
