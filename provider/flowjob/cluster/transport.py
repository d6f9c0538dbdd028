"""``Transport``: how a request reaches the API server, and what it survives on its way."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Self

from flowjob.cluster.answers import read_object
from flowjob.cluster.errors import api_error
from flowjob.cluster.link import Link
from flowjob.cluster.patience import UNKNOWN_USER, Patience, Say
from flowjob.cluster.retries import pause
from flowjob.cluster.turns import Turns
from flowjob.exceptions import RequestStoppedError
from flowjob.kubernetes_object import Body, KubernetesObject
from flowjob.timeouts import PATIENCE, REQUEST_TIMEOUT

if TYPE_CHECKING:
    from aiohttp import ClientResponse

# How many of each kind go at once. None waits for another kind: not a kill's request for logs, and
# not the last lines of what failed for a hundred logs that are followed. Watches, few, never wait.
_REQUESTS = 100
_FOLLOWED_LOGS = 100
_READ_LOGS = 20


class Transport:
    """Requests to one API server; use it as a context manager.

    An API server that is away is waited for, and credentials that have expired are renewed.

    :param kubernetes_conn_id: Airflow connection of type ``kubernetes``; it is loaded in a thread,
        and loaded again when the API server no longer takes its credentials.
    """

    def __init__(self, kubernetes_conn_id: str) -> None:
        self._link = Link(kubernetes_conn_id)
        self._requests = Turns(_REQUESTS)
        self._followed_logs = Turns(_FOLLOWED_LOGS)
        self._read_logs = Turns(_READ_LOGS)
        # Seconds that the API server's clock is ahead of this machine's.
        self._ahead = 0.0

    async def __aenter__(self) -> Self:
        """Load the connection.

        :raises ClusterError: it cannot be loaded, or an exec plugin has hung for ten minutes.
        """
        try:
            await self._link.open()
        except BaseException:
            await self._link.close()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._link.close()

    @property
    def namespace(self) -> str | None:
        """The namespace that the Airflow connection names, if any."""
        return self._link.connection.namespace

    @property
    def address(self) -> str:
        """Where the API server is, as the Airflow connection names it."""
        return str(self._link.connection.configuration.host)

    @property
    def now(self) -> datetime:
        """The time by the API server's clock, to the second: this machine's may be wrong."""
        return datetime.now(UTC) + timedelta(seconds=self._ahead)

    def patience(
        self,
        doubted: Collection[int] = UNKNOWN_USER,
        asked: str = "",
        say: Say | None = None,
    ) -> Patience:
        """Return the patience with this API server of one who asks it something.

        :param doubted: the statuses that may pass, such as ``REFUSALS``.
        :param asked: what it is asked for, where that is worth to be told.
        :param say: takes what is said meanwhile; None (default): the log of who asks.
        """
        host = self._link.connection.configuration.host
        about = f" to {asked}" if asked else ""
        lack = f"no usable answer from the API server {host}{about}"
        return Patience(lack, PATIENCE, doubted=doubted, say=say)

    def impatience(self) -> Patience:
        """Return the patience of one who bears with nothing."""
        return Patience("", 0, doubted=(), passes=lambda error: False)

    async def request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Body | None = None,
        *,
        patience: Patience | None = None,
        stop: asyncio.Event | None = None,
    ) -> KubernetesObject:
        """Send a request and return the JSON of its answer; wait for a server that is away.

        :param method: HTTP method; each must be safe to send twice.
        :param path: path of the REST API, such as ``/api/v1/namespaces/default/pods``.
        :param body: an object; for a ``PATCH``, operations of a JSON patch.
        :param patience: with what goes wrong; None (default): one of its own.
        :param stop: once it is set, the request is not sent again; None (default): never.
        :raises RequestStoppedError: it was stopped, and nobody knows whether the server took it.
        :raises ApiError: the server answered with an error that will stay.
        :raises ClusterError: it could not be reached for ten minutes.
        """
        patience = patience or self.patience()
        # A kill does not wait until all else has been asked.
        priority = 0 if method == "DELETE" else 1
        while True:
            try:
                async with self._requests.turn(priority):
                    if stop is not None and stop.is_set():
                        raise RequestStoppedError(f"{method} {path} is not sent again")
                    async with self.open(method, path, query, body) as response:
                        answer = read_object(await response.read())
            except Exception as error:
                delay = patience.take(error)
            else:
                patience.settle()
                return answer
            await pause(delay, stop)

    @asynccontextmanager
    async def stream_log(
        self,
        path: str,
        query: Mapping[str, str],
        *,
        follow: bool,
        silence: float,
        priority: int = 0,
    ) -> AsyncIterator[ClientResponse]:
        """Ask for a log once, when it is its turn, and give it to be read as it comes.

        :param follow: the log goes on; else it has an end.
        :param silence: see ``open``.
        :param priority: of many that wait, those with the lowest come first, then who came first.
        :raises ApiError: the server answered with an error.
        """
        turns = self._followed_logs if follow else self._read_logs
        async with (
            turns.turn(priority),
            self.open("GET", path, query, silence=silence) as response,
        ):
            yield response

    @asynccontextmanager
    async def open(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: Body | None = None,
        *,
        silence: float | None = None,
    ) -> AsyncIterator[ClientResponse]:
        """Send a request once and at once, and give its answer to be read as it comes.

        :param silence: seconds without a byte after which the connection counts as dead, for
            answers without an end; None: the whole answer comes within 30 s.
        :raises ApiError: the server answered with an error.
        """
        import aiohttp

        timeout = (
            aiohttp.ClientTimeout(total=REQUEST_TIMEOUT)
            if silence is None
            else aiohttp.ClientTimeout(connect=REQUEST_TIMEOUT, sock_read=silence)
        )
        response = await self._link.send(method, path, query, body, timeout)
        with suppress(KeyError, TypeError, ValueError):
            self._ahead = parsedate_to_datetime(response.headers["Date"]).timestamp() - time.time()
        try:
            if response.status >= 400:
                raise await api_error(response, self._link.kubernetes_conn_id)
            yield response
        finally:
            response.close()
