"""A proxy in front of an API server that can slow connections down and cut them off.

It forwards bytes and does not look into them, so TLS passes through untouched.
"""

import asyncio
import ipaddress
import socket
import threading
from collections.abc import Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

import yaml

T = TypeVar("T")

_CHUNK = 65536
_CONTROL_SECONDS = 10.0


class FaultProxy:
    """Forwards connections to the API server of a kubeconfig, until told otherwise.

    with FaultProxy(cluster.kubeconfig, tmp_path) as proxy:
        client = new_client(proxy.kubeconfig)
        proxy.delay = 0.5    # from now on each piece of data takes 0.5 s longer, each way
        proxy.cut()          # all connections break, and new ones are refused
        proxy.mend()         # new ones are accepted again

    `host` is the address that it listens on: this machine's own, or that of the pods' bridge.
    """

    def __init__(self, kubeconfig: Path, folder: Path, host: str = "127.0.0.1") -> None:
        content = yaml.safe_load(kubeconfig.read_text())
        cluster = _current_cluster(content)
        self._host, self._port = _address(cluster["server"])
        self.delay = 0.0
        self.kubeconfig = folder / "fault-proxy.kubeconfig"
        self.host = host
        self._socket: socket.socket | None = _bound_socket(host, 0)
        self.port: int = self._socket.getsockname()[1]
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._write_kubeconfig(content, cluster, kubeconfig.parent)

    def __enter__(self) -> Self:
        self._thread.start()
        self.mend()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._run(self._close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def cut(self) -> None:
        """Break all connections and refuse new ones."""
        self._run(self._cut())

    def mend(self) -> None:
        """Accept connections again, on the same port."""
        self._run(self._listen())

    def connections(self) -> int:
        """Return the number of connections that clients have open."""
        return len(self._tasks)

    def _run(self, action: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(action, self._loop).result(_CONTROL_SECONDS)

    async def _listen(self) -> None:
        if self._server is None:
            self._server = await asyncio.start_server(self._accept, sock=self._socket)

    async def _cut(self) -> None:
        if self._server is not None:
            self._server.close()
            self._server = None
            # Bound but not listening: connections are refused, and nobody else takes the port.
            self._socket = _bound_socket(self.host, self.port)
        for writer in self._connections:
            writer.transport.abort()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _close(self) -> None:
        await self._cut()
        if self._socket is not None:
            self._socket.close()

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = self._loop.create_task(self._forward(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers = [writer]
        self._connections.add(writer)
        try:
            server_reader, server_writer = await asyncio.open_connection(self._host, self._port)
            writers.append(server_writer)
            self._connections.add(server_writer)
            await asyncio.gather(
                self._copy(reader, server_writer), self._copy(server_reader, writer)
            )
        except OSError:
            pass  # one side has gone: the other side is told by the end of its connection
        finally:
            for each in writers:
                each.transport.abort()
                self._connections.discard(each)

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(_CHUNK):
            await asyncio.sleep(self.delay)
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()

    def _write_kubeconfig(
        self, content: dict[str, Any], cluster: dict[str, Any], relative_to: Path
    ) -> None:
        cluster["server"] = f"https://{self.host}:{self.port}"
        if not _is_address(self._host):
            # The server's certificate bears its own name, not the proxy's.
            cluster.setdefault("tls-server-name", self._host)
        for section, kind in (("clusters", "cluster"), ("users", "user")):
            for entry in content[section]:
                _make_paths_absolute(entry[kind], relative_to)
        self.kubeconfig.touch(mode=0o600)
        self.kubeconfig.write_text(yaml.safe_dump(content, sort_keys=False))


def _current_cluster(content: dict[str, Any]) -> dict[str, Any]:
    contexts = {entry["name"]: entry["context"] for entry in content["contexts"]}
    clusters = {entry["name"]: entry["cluster"] for entry in content["clusters"]}
    current: dict[str, Any] = clusters[contexts[content["current-context"]]["cluster"]]
    return current


def _address(server: str) -> tuple[str, int]:
    url = urlsplit(server)
    return url.hostname or "", url.port or 443


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _make_paths_absolute(entry: dict[str, Any], folder: Path) -> None:
    for key in ("certificate-authority", "client-certificate", "client-key", "tokenFile"):
        if key in entry:
            entry[key] = str(folder / entry[key])


def _bound_socket(host: str, port: int) -> socket.socket:
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind((host, port))
    return bound
