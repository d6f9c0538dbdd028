"""``Link``: the HTTP session of an Airflow connection, and who asks on it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from flowjob import __version__
from flowjob.cluster.airflow_thread import in_thread
from flowjob.cluster.connection import (
    ClusterConnection,
    credentials_of,
    find_connection,
    load,
    tls_context,
)
from flowjob.cluster.errors import CredentialsError, describe
from flowjob.cluster.patience import Patience
from flowjob.cluster.shared_call import SharedCall, StillRunningError, in_own_thread
from flowjob.exceptions import ClusterError
from flowjob.kubernetes_object import Body
from flowjob.timeouts import LOADING_TIMEOUT, PATIENCE

if TYPE_CHECKING:
    import ssl

    from aiohttp import ClientResponse, ClientSession, ClientTimeout
    from airflow.providers.cncf.kubernetes.hooks.kubernetes import KubernetesHook

T = TypeVar("T")

# So that a cluster's audit log tells whose requests these are.
_USER_AGENT = {"User-Agent": f"flowjob/{__version__}"}
# Else it is plain JSON.
_CONTENT_TYPES = {"PATCH": {"Content-Type": "application/json-patch+json"}}
# Seconds within which credentials are not renewed again: thousands of requests may be refused, and
# an exec plugin takes seconds.
_RENEWAL_PAUSE = 5


@dataclass(frozen=True)
class _Line:
    """A session and what it was made from."""

    connection: ClusterConnection
    session: ClientSession
    credentials: SharedCall[dict[str, str]]

    async def close(self) -> None:
        await self.credentials.close()
        await self.session.close()


class Link:
    """Sends requests as the user of an Airflow connection, whose credentials it renews.

    :param kubernetes_conn_id: Airflow connection of type ``kubernetes``.
    """

    def __init__(self, kubernetes_conn_id: str) -> None:
        self.kubernetes_conn_id = kubernetes_conn_id
        self._loading = SharedCall(self._load)
        self._line: _Line | None = None
        self._renewed_until = 0.0

    @property
    def connection(self) -> ClusterConnection:
        """What was loaded last."""
        return self._current().connection

    async def open(self) -> None:
        """Load the connection.

        :raises ClusterError: it cannot be loaded, or an exec plugin has hung for ten minutes.
        """
        name = f"the Airflow connection {self.kubernetes_conn_id!r}"
        patience = Patience(f"no answer from what loads {name}", PATIENCE)
        while self._line is None:
            try:
                await self._loading.answer(LOADING_TIMEOUT)
            except StillRunningError:
                delay = patience.take(CredentialsError(_HANGS))
            except Exception as error:
                raise ClusterError(f"{name} cannot be used: {_first_line(error)}") from None
            else:
                return
            await asyncio.sleep(delay)

    async def close(self) -> None:
        """Close all that is open."""
        await self._loading.close()
        if self._line is not None:
            await self._line.close()

    async def send(
        self,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: Body | None,
        limits: ClientTimeout,
    ) -> ClientResponse:
        """Send a request, and once more where the credentials had expired.

        :raises CredentialsError: they cannot be renewed.
        :raises Exception: the API server cannot be reached.
        """
        line = self._current()
        try:
            response = await self._send(line, method, path, query, body, limits)
            if response.status != 401 or not await self._renew(line, response):
                return response
        except Exception:
            # It may have been closed, as others' credentials were refused, too.
            if line is self._line:
                raise
        return await self._send(self._current(), method, path, query, body, limits)

    async def _send(
        self,
        line: _Line,
        method: str,
        path: str,
        query: Mapping[str, str] | None,
        body: Body | None,
        limits: ClientTimeout,
    ) -> ClientResponse:
        configuration = line.connection.configuration
        if configuration.refresh_api_key_hook:
            credentials = await self._renewal_of(line.credentials)
        else:
            credentials = credentials_of(configuration)
        return await line.session.request(
            method,
            configuration.host + path,
            params=query,
            headers={**_USER_AGENT, **_CONTENT_TYPES.get(method, {}), **credentials},
            json=body,
            timeout=limits,
            server_hostname=configuration.tls_server_name or None,
            proxy=line.connection.proxy,
            proxy_headers=configuration.proxy_headers,
        )

    async def _renew(self, refused: _Line, response: ClientResponse) -> bool:
        """Load the connection again, unless that was done since, and tell whether it is newer."""
        if self._line is refused and self._renewed_until > asyncio.get_running_loop().time():
            return False
        response.close()
        if self._line is refused:
            await self._renewal_of(self._loading)
            self._renewed_until = asyncio.get_running_loop().time() + _RENEWAL_PAUSE
        return True

    async def _renewal_of(self, call: SharedCall[T]) -> T:
        name = (
            f"the credentials of the Airflow connection {self.kubernetes_conn_id!r} are not renewed"
        )
        try:
            return await call.answer(LOADING_TIMEOUT)
        except StillRunningError:
            raise CredentialsError(f"{name}: {_HANGS}") from None
        except Exception as error:
            raise CredentialsError(f"{name}: {_first_line(error)}") from None

    async def _load(self) -> None:
        import aiohttp

        # Files, exec plugins and imports would hold up every other waiter of a triggerer.
        hook = await in_thread(find_connection, self.kubernetes_conn_id)
        connection, tls = await in_own_thread(lambda: _load(hook))

        async def credentials() -> dict[str, str]:
            return await in_own_thread(lambda: credentials_of(connection.configuration))

        # Who may go when is for those who send: one pool for all would let a kill wait for logs.
        # The environment is not asked, as ~/.netrc belongs to it.
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=tls, limit=0), trust_env=False
        )
        before, self._line = self._line, _Line(connection, session, SharedCall(credentials))
        if before is not None:
            await before.close()

    def _current(self) -> _Line:
        if self._line is None:
            raise RuntimeError("it is not open")
        return self._line


_HANGS = f"it takes longer than {LOADING_TIMEOUT} s; an exec plugin may wait for a login"


def _load(hook: KubernetesHook) -> tuple[ClusterConnection, ssl.SSLContext]:
    connection = load(hook)
    return connection, tls_context(connection.configuration)


def _first_line(error: Exception) -> str:
    """Describe an error: one of YAML goes on with lines of what may be a kubeconfig's secrets."""
    return describe(error).splitlines()[0]
