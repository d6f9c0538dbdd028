"""What an API server's errors mean: to be tried again, or to be told."""

from __future__ import annotations

import asyncio
import json
import ssl
from typing import TYPE_CHECKING

from flowjob.exceptions import ClusterError, FlowJobError, JobRefusedError
from flowjob.kubernetes_object import KubernetesObject
from flowjob.status.refusal import explain, refused_fields

if TYPE_CHECKING:
    from aiohttp import ClientResponse

# Statuses below 500 after which the same request may succeed: it took too long, or came too often.
_TRANSIENT = {408, 429}
# Statuses with which the API server refuses a Job that it will refuse again.
_REFUSED = {400, 403, 404, 405, 413, 415, 422}


class ApiError(Exception):
    """The API server answered with an error.

    :param code: HTTP status.
    :param status: the body, a ``Status`` of meta/v1 where the server sent one.
    :param retry_after: seconds after which it wants to be asked again, if it said so.
    """

    def __init__(
        self, code: int, status: KubernetesObject, retry_after: float | None = None
    ) -> None:
        super().__init__(f"HTTP {code}: {explain({'code': code, **status})}")
        self.code = code
        self.status = {"code": code, **status}
        self.retry_after = retry_after


class UnreadableAnswerError(Exception):
    """What came is not the API server's: half an answer, or the page of a proxy."""


class CredentialsError(Exception):
    """The Airflow connection could not be loaded again, or its credentials not be renewed."""


async def api_error(response: ClientResponse, kubernetes_conn_id: str) -> ApiError:
    """Read the error that an answer tells of.

    :param kubernetes_conn_id: whose credentials they were.
    """
    text = await response.text(errors="replace")
    try:
        status = json.loads(text)
    except ValueError:
        status = None
    if not isinstance(status, dict):
        status = {"message": text[:200]}
    if response.status == 401:
        # The API server says no more of it than "Unauthorized".
        told = f"the credentials of the Airflow connection {kubernetes_conn_id!r} are not taken"
        status["message"] = f"{told}: they have expired or are wrong, so renew them"
    retry_after = response.headers.get("Retry-After", "")
    return ApiError(response.status, status, float(retry_after) if retry_after.isdigit() else None)


def is_transient(error: Exception) -> bool:
    """Tell whether the same request may succeed later: the server is away or overloaded."""
    import aiohttp

    if isinstance(error, ApiError):
        return error.code >= 500 or error.code in _TRANSIENT
    # The settings are wrong, and stay so.
    wrong = aiohttp.InvalidURL | aiohttp.ClientConnectorCertificateError
    if isinstance(error, wrong | ssl.SSLCertVerificationError):
        return False
    ours = UnreadableAnswerError | CredentialsError
    return isinstance(error, ours | aiohttp.ClientError | asyncio.TimeoutError | OSError)


def is_forbidden(error: Exception) -> bool:
    """Tell whether a right is missing."""
    return isinstance(error, ApiError) and error.code == 403


def is_expired(error: Exception) -> bool:
    """Tell whether the server has forgotten what a list or a watch began with."""
    return isinstance(error, ApiError) and error.code == 410


def describe(error: BaseException) -> str:
    """Name an error that may have no text of its own."""
    return str(error) or type(error).__name__


def refusal(manifest: KubernetesObject, error: ApiError) -> FlowJobError:
    """Return what the error to the creation of a Job, or of its Secret, means.

    :param manifest: what was to be created.
    :returns: a JobRefusedError where the API server would refuse it again, else a ClusterError.
    """
    kind, metadata = manifest["kind"], manifest["metadata"]
    if error.code not in _REFUSED:
        return ClusterError(f"cannot create the {kind} {metadata['name']!r}: {error}")
    return JobRefusedError(
        f"the API server refused the {kind} {metadata['name']!r} in namespace "
        f"{metadata['namespace']!r}: {explain(error.status)}",
        refused_fields(error.status),
    )
