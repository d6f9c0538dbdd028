"""A reverse proxy in front of an API server, for faults at an exact point of one request.

It speaks plain HTTP to its clients and signs in at the API server as the kubeconfig's user.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Self

import aiohttp
import yaml
from aiohttp import web

from flowjob.worker.loop_thread import LoopThread

# What belongs to one connection and not to the request.
_HOP_BY_HOP = {"host", "connection", "transfer-encoding", "content-length", "keep-alive"}


class Hold:
    """Stops the next request that fits, at one point, until it is told how to go on."""

    def __init__(self, loop: LoopThread, method: str, path_end: str, query: str = "") -> None:
        self._loop = loop
        self._reached = threading.Event()
        self._decided = asyncio.Event()
        self.method = method
        self.path_end = path_end
        self.query = query
        self.answer: int | None = None
        self.headers: dict[str, str] = {}

    def wait_until_reached(self, seconds: float = 60.0) -> None:
        """Wait until a request stands at the point."""
        assert self._reached.wait(seconds), f"no {self.method} ...{self.path_end} came"

    def let_go(self) -> None:
        """Let the request go on."""
        self._loop.run(_do(self._decided.set))

    def lose(self) -> None:
        """Break the client's connection off, in place of going on."""
        self.refuse(0)

    def refuse(self, status: int, **headers: str) -> None:
        """Answer with this HTTP status, in place of going on."""
        self.answer, self.headers = status, headers
        self.let_go()

    async def stop(self) -> None:
        """Hold the request that has come to the point."""
        self._reached.set()
        await self._decided.wait()


class ReverseProxy:
    """Forwards each request, until told otherwise.

    with ReverseProxy(cluster.kubeconfig, tmp_path) as proxy:
        hold = proxy.hold_reply("POST", "/jobs")
        ...                          # a client with proxy.kubeconfig creates a Job
        hold.wait_until_reached()    # the Job exists, and the client does not know yet
        hold.lose()
    """

    def __init__(self, kubeconfig: Path, folder: Path) -> None:
        content = yaml.safe_load(kubeconfig.read_text())
        cluster, user = content["clusters"][0]["cluster"], content["users"][0]["user"]
        self._server: str = cluster["server"]
        self._tls = ssl.create_default_context(cafile=cluster["certificate-authority"])
        self._credentials = {}
        if "token" in user:
            self._credentials = {"Authorization": f"Bearer {user['token']}"}
        else:
            self._tls.load_cert_chain(user["client-certificate"], user["client-key"])
        self.kubeconfig = folder / "reverse-proxy.kubeconfig"
        self._before: list[Hold] = []
        self._after: list[Hold] = []
        self._shortened: list[tuple[str, str, int]] = []
        self._loop = LoopThread()

    def __enter__(self) -> Self:
        self._loop.__enter__()
        port = self._loop.run(self._start())
        context = {"cluster": "proxy", "user": "nobody"}
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "proxy", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
            "users": [{"name": "nobody", "user": {}}],
            "contexts": [{"name": "proxy", "context": context}],
            "current-context": "proxy",
        }
        self.kubeconfig.write_text(yaml.safe_dump(content))
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.run(self._stop())
        # What is still held ends with its loop.
        self._loop.__exit__()

    def hold_request(self, method: str, path_end: str, query: str = "") -> Hold:
        """Stop the next such request, with this in its query, before the API server gets it."""
        hold = Hold(self._loop, method, path_end, query)
        self._before.append(hold)
        return hold

    def hold_reply(self, method: str, path_end: str) -> Hold:
        """Stop the next such request when the API server has answered it."""
        hold = Hold(self._loop, method, path_end)
        self._after.append(hold)
        return hold

    def shorten_reply(self, method: str, path_end: str, size: int) -> None:
        """Pass so many bytes of the next such answer on, and end it as if that were all."""
        self._shortened.append((method, path_end, size))

    def stall(self) -> None:
        """Pass no more of any answer on, but keep the connections."""
        self._loop.run(_do(self._flowing.clear))

    def flow(self) -> None:
        """Pass the answers on again."""
        self._loop.run(_do(self._flowing.set))

    async def _start(self) -> int:
        self._flowing = asyncio.Event()
        self._flowing.set()
        connector = aiohttp.TCPConnector(ssl=self._tls, limit=0)
        timeout = aiohttp.ClientTimeout(total=None)
        self._client = aiohttp.ClientSession(
            connector=connector, timeout=timeout, auto_decompress=False
        )
        application = web.Application(client_max_size=2**24)
        application.router.add_route("*", "/{path:.*}", self._forward)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port: int = self._runner.addresses[0][1]
        return port

    async def _stop(self) -> None:
        await self._client.close()
        await self._runner.cleanup()

    async def _forward(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        if (hold := _take(self._before, request)) is not None:
            await hold.stop()
            if hold.answer is not None:
                return _refuse(request, hold.answer, hold.headers)
        headers = {k: v for k, v in request.headers.items() if k.lower() not in _HOP_BY_HOP}
        headers |= self._credentials
        try:
            async with self._client.request(
                request.method, self._server + request.raw_path, headers=headers, data=body
            ) as answer:
                return await self._answer(request, answer)
        except (aiohttp.ClientError, ConnectionError):
            # As if there were no proxy: the API server is away.
            return _refuse(request, 0, {})

    async def _answer(
        self, request: web.Request, answer: aiohttp.ClientResponse
    ) -> web.StreamResponse:
        if (hold := _take(self._after, request)) is not None:
            await hold.stop()
            if hold.answer is not None:
                return _refuse(request, hold.answer, hold.headers)
        headers = {k: v for k, v in answer.headers.items() if k.lower() not in _HOP_BY_HOP}
        response = web.StreamResponse(status=answer.status, headers=headers)
        response.enable_chunked_encoding()
        await self._flowing.wait()
        await response.prepare(request)
        size = self._size(request)
        async for chunk in answer.content.iter_any():
            await self._flowing.wait()
            await response.write(chunk[:size])
            size = size and max(size - len(chunk), 0)
            if size == 0:
                break
        await response.write_eof()
        return response

    def _size(self, request: web.Request) -> int | None:
        """Return how many bytes of the answer are passed on, None: all."""
        for entry in self._shortened:
            method, path_end, size = entry
            if request.method == method and request.path.endswith(path_end):
                self._shortened.remove(entry)
                return size
        return None


async def _do(action: Callable[[], None]) -> None:
    """Do what must be done in the loop."""
    action()


def _take(holds: list[Hold], request: web.Request) -> Hold | None:
    for hold in holds:
        is_it = request.method == hold.method and request.path.endswith(hold.path_end)
        if is_it and hold.query in request.query_string:
            holds.remove(hold)
            return hold
    return None


def _refuse(request: web.Request, status: int, headers: dict[str, str]) -> web.Response:
    if status:
        body = {"kind": "Status", "message": "no"}
        return web.json_response(body, status=status, headers=headers)
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
