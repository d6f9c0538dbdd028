"""``Transport``: how a request reaches the API server, and what it survives on its way."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Self

from flowjob import __version__
from flowjob.cluster.airflow_thread import in_thread
from flowjob.cluster.connection import credentials_of, load_connection, tls_context
from flowjob.cluster.errors import api_error, describe, is_transient
from flowjob.cluster.retries import delays, pause
from flowjob.exceptions import ClusterError, RequestStoppedError
from flowjob.kubernetes_object import KubernetesObject
from flowjob.timeouts import PATIENCE, REQUEST_TIMEOUT

if TYPE_CHECKING:
    from aiohttp import ClientResponse, ClientSession, ClientTimeout

log = logging.getLogger(__name__)

# So that a cluster's audit log tells whose requests these are.
_USER_AGENT = {"User-Agent": f"flowjob/{__version__}"}
# Bytes that an event of a watch, a line with a whole object, may have: etcd takes 1.5 MiB.
_LONGEST_LINE = 2**21


class Transport:
    """Requests to one API server over one pool of connections; use it as a context manager.

    An API server that is away is waited for, and credentials that have expired are renewed.

    :param kubernetes_conn_id: Airflow connection of type ``kubernetes``; it is loaded in a thread,
        and loaded again when the API server no longer takes its credentials.
    """

    def __init__(self, kubernetes_conn_id: str) -> None:
        self._conn_id = kubernetes_conn_id

    async def __aenter__(self) -> Self:
        """Load the connection.

        :raises ClusterError: it cannot be loaded.
        """
        self._renewal = asyncio.Lock()
        try:
            self._session = await self._open_session()
        except Exception as error:
            # An error of YAML goes on with lines of what may be a kubeconfig with its secrets.
            told = describe(error).splitlines()[0]
            raise ClusterError(
                f"the Airflow connection {self._conn_id!r} cannot be used: {told}"
            ) from None
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    @property
    def namespace(self) -> str | None:
        """The namespace that the Airflow connection names, if any."""
        return self._connection.namespace

    async def request(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: KubernetesObject | None = None,
        *,
        stop: asyncio.Event | None = None,
    ) -> KubernetesObject:
        """Send a request and return the JSON of its answer; wait for a server that is away.

        :param method: HTTP method; each must be safe to send twice.
        :param path: path of the REST API, such as ``/api/v1/namespaces/default/pods``.
        :param stop: once it is set, the request is not sent again; None (default): never.
        :raises RequestStoppedError: it was stopped, and nobody knows whether the server took it.
        :raises ApiError: the server answered with an error that will stay.
        :raises ClusterError: it could not be reached for ten minutes.
        """
        deadline = asyncio.get_running_loop().time() + PATIENCE
        for delay in delays():
            if stop is not None and stop.is_set():
                raise RequestStoppedError(f"{method} {path} is not sent again")
            try:
                async with self.open(method, path, query, body) as response:
                    answer: KubernetesObject = json.loads(await response.read())
                    return answer
            except Exception as error:
                if not is_transient(error):
                    raise
                delay = max(delay, getattr(error, "retry_after", None) or 0)
                if asyncio.get_running_loop().time() + delay > deadline:
                    raise ClusterError(
                        f"the API server {self._connection.configuration.host} gave no answer for "
                        f"{PATIENCE} s: {describe(error)}"
                    ) from None
                log.warning("The API server gives no answer (%s), trying again", describe(error))
                await pause(delay, stop)
        raise AssertionError("delays never end")

    @asynccontextmanager
    async def open(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None = None,
        body: KubernetesObject | None = None,
        *,
        silence: float | None = None,
    ) -> AsyncIterator[ClientResponse]:
        """Send a request once and give its answer to be read as it comes.

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
        response = await self._respond(method, path, query, body, timeout)
        try:
            if response.status >= 400:
                raise await api_error(response)
            yield response
        finally:
            response.close()

    async def _respond(self, method: str, path: str, *request: Any) -> ClientResponse:
        """Send a request, and once more where the credentials had expired."""
        session = self._session
        try:
            response = await self._send(session, method, path, *request)
            if response.status != 401:
                return response
            response.close()
            await self._renew(session)
        except Exception:
            # It may have been closed, as others' credentials were refused, too.
            if session is self._session:
                raise
        return await self._send(self._session, method, path, *request)

    async def _send(
        self,
        session: ClientSession,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: KubernetesObject | None,
        limits: ClientTimeout,
    ) -> ClientResponse:
        configuration = self._connection.configuration
        return await session.request(
            method,
            configuration.host + path,
            params=query,
            headers={**_USER_AGENT, **await credentials_of(configuration)},
            json=body,
            timeout=limits,
            server_hostname=configuration.tls_server_name or None,
        )

    async def _open_session(self) -> ClientSession:
        import aiohttp

        # Files, exec plugins and imports would hold up every other waiter of a triggerer.
        self._connection = await in_thread(load_connection, self._conn_id)
        tls = await asyncio.to_thread(tls_context, self._connection.configuration)
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=tls), trust_env=True, read_bufsize=_LONGEST_LINE
        )

    async def _renew(self, refused: ClientSession) -> None:
        """Load the connection again, unless that was done since the credentials were refused."""
        async with self._renewal:
            if self._session is refused:
                self._session = await self._open_session()
                await refused.close()
