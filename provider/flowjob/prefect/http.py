"""``PrefectApi``: requests to one Prefect API, and what its answers mean."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any

from flowjob.cluster.patience import Patience
from flowjob.cluster.retries import pause
from flowjob.exceptions import ClusterError, RemoteError, RemoteRefusedError, RequestStoppedError
from flowjob.flows.base import FlowConnection
from flowjob.text import one_line, shown_address
from flowjob.timeouts import REQUEST_TIMEOUT

if TYPE_CHECKING:
    import ssl

# Statuses below 500 after which the same request may succeed: it took too long, or came too often.
_TRANSIENT = {408, 429}
_NOT_TAKEN = {401, 403}
# Of a refusal's own words, so many characters.
_LONGEST_TOLD = 300


class _PassingError(Exception):
    """What came is no answer of Prefect's: the same request may succeed later.

    :param retry_after: seconds after which the server wants to be asked again, if it said so.
    """

    def __init__(self, told: str, retry_after: float | None = None) -> None:
        super().__init__(told)
        self.retry_after = retry_after


class PrefectApi:
    """The Prefect API of one Airflow connection.

    :param conn_id: the connection's id, for what is told.
    :param api_url: the API's address.
    :param connection: the connection, whose key is sent.
    """

    def __init__(self, conn_id: str, api_url: str, connection: FlowConnection) -> None:
        self.conn_id = conn_id
        self.api_url = api_url
        self.address = shown_address(api_url)
        self._headers = headers_of(connection)

    async def request(
        self,
        method: str,
        path: str,
        body: Mapping[str, Any] | None = None,
        *,
        limit: float,
        stop: asyncio.Event | None = None,
        missing_ok: bool = False,
    ) -> Any:
        """Send a request that is safe to send twice, and return the JSON of its answer.

        :param limit: seconds that an API which is away is waited for.
        :param stop: the answer is not wanted any more: the request is not sent again.
        :param missing_ok: return None where there is no such thing (404).
        :raises RequestStoppedError: it was stopped.
        :raises RemoteRefusedError: the API refuses it, and would again.
        :raises RemoteError: there was no usable answer.
        """
        patience = Patience(
            f"no answer from Prefect's API at {self.address}", limit, passes=_is_passing
        )
        while True:
            try:
                return await self._send(method, path, body, missing_ok)
            except RemoteError:
                raise
            except Exception as error:
                try:
                    delay = patience.take(error)
                except ClusterError as over:
                    raise RemoteError(f"there was {over}: see whether Prefect is up") from None
                except Exception:
                    raise RemoteError(
                        f"Prefect's API at {self.address} cannot be asked: "
                        f"{one_line(str(error)) or type(error).__name__}: see the Airflow "
                        f"connection {self.conn_id!r}"
                    ) from None
            await pause(delay, stop)
            if stop is not None and stop.is_set():
                raise RequestStoppedError("Prefect is not asked any more")

    def not_taken(self, told: str) -> RemoteRefusedError:
        """Return what it means that the API does not know who asks, or not as one who may.

        :param told: its own word for it.
        """
        return RemoteRefusedError(
            f"Prefect's API at {self.address} does not take the key of the Airflow connection "
            f"{self.conn_id!r} ({told}): give it one that may run flows"
        )

    async def _send(
        self, method: str, path: str, body: Mapping[str, Any] | None, missing_ok: bool
    ) -> Any:
        import httpx

        async with httpx.AsyncClient(timeout=REQUEST_TIMEOUT, verify=_certificates()) as client:
            answer = await client.request(
                method, f"{self.api_url}{path}", json=body, headers=self._headers
            )
        if answer.status_code >= 500 or answer.status_code in _TRANSIENT:
            retry_after = answer.headers.get("Retry-After", "")
            after = float(retry_after) if retry_after.isdigit() else None
            raise _PassingError(f"HTTP {answer.status_code}", after)
        if answer.status_code == 404 and missing_ok:
            return None
        if answer.status_code in _NOT_TAKEN:
            raise self.not_taken(f"HTTP {answer.status_code}")
        try:
            content = answer.json()
        except ValueError:
            content = None
            if answer.is_success:
                # As a gateway's page while it is updated.
                raise _PassingError("a page in place of JSON") from None
        if not answer.is_success:
            raise RemoteRefusedError(
                f"Prefect refused a request to {self.address}{path} (HTTP {answer.status_code}): "
                f"{words_of(content)}"
            )
        return content


def headers_of(connection: FlowConnection) -> dict[str, str]:
    """Return what Prefect knows by who asks, and for which of its tenants.

    :raises RemoteRefusedError: the key cannot be sent. What a client says of that repeats it.
    """
    if not (connection.api_key.isascii() and connection.api_key.isprintable()):
        raise RemoteRefusedError(
            "the API key of the connection has a character that no key has: copy it once more"
        )
    headers = {}
    if connection.api_key:
        headers["Authorization"] = f"Bearer {connection.api_key}"
    if connection.tenant_id:
        headers["X-PREFECT-TENANT-ID"] = connection.tenant_id
    return headers


@cache
def _certificates() -> ssl.SSLContext:
    """Read the certificates once: it takes tens of milliseconds, in a loop that others wait in."""
    import httpx

    return httpx.create_ssl_context()


def _is_passing(error: Exception) -> bool:
    import httpx

    # The settings are wrong, and stay so.
    wrong = httpx.UnsupportedProtocol | httpx.LocalProtocolError
    if isinstance(error, wrong) or "CERTIFICATE_VERIFY_FAILED" in str(error):
        return False
    return isinstance(error, _PassingError | httpx.TransportError)


def words_of(content: Any) -> str:
    """Take from an error, of either API, what Prefect says, not what it repeats of the request."""
    said = content if isinstance(content, dict) else {}
    errors = said.get("errors")
    if isinstance(errors, list) and errors and isinstance(errors[0], dict):
        said = {"detail": errors[0].get("message")}
    text = said.get("detail") or said.get("exception_message")
    return one_line(text)[:_LONGEST_TOLD] if isinstance(text, str) else "it does not say why"
