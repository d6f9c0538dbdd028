"""Ask Prefect's API whether it is there and takes the key, whichever generation it is of.

- Prefect 0.x and 1.x: GraphQL, with the query that Prefect's own agent begins with.
- Prefect 2 and later: REST. A server tells its version; Prefect Cloud does not, and is asked for a
  number, as what it answers without a key proves nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from flowjob.exceptions import RemoteError, RemoteRefusedError
from flowjob.flows.base import FlowConnection
from flowjob.prefect.http import headers_of
from flowjob.text import one_line, shown_address

if TYPE_CHECKING:
    from httpx import Client, Response

# Seconds: somebody waits for the answer.
_TIMEOUT = 10.0
# By what the API of Prefect 0.x says in an error, whether it is about the key
# (``prefect/client/client.py``, ``graphql``).
_KEY_ERRORS = ("UNAUTHENTICATED", "Malformed Authorization header")


def greet(connection: FlowConnection) -> str:
    """Ask Prefect's API whether it is there and takes the key; it changes nothing.

    :param connection: where it is, and the key.
    :returns: what answers, in a sentence.
    :raises RemoteError: nothing of that kind; the sentence says what helps, and not the key.
    """
    import httpx

    url = connection.api_url
    try:
        with httpx.Client(headers=headers_of(connection), timeout=_TIMEOUT) as client:
            return _greet(client, url)
    except httpx.TimeoutException:
        told = f"gives no answer for {_TIMEOUT:g} s"
    except httpx.ConnectError as error:
        told = f"cannot be reached ({one_line(str(error))})"
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
        told = f"cannot be reached ({type(error).__name__})"
    raise RemoteError(
        f"{shown_address(url)} {told}: check the API address, and whether Airflow may go there"
    )


def _greet(client: Client, url: str) -> str:
    is_rest = "api" in urlsplit(url).path.split("/")
    for greet_as in (_rest, _graphql) if is_rest else (_graphql, _rest):
        if (told := greet_as(client, url)) is not None:
            return told
    raise RemoteError(
        f"what answers at {shown_address(url)} is not Prefect's API: give the address of that, "
        "such as https://api.prefect.io, or for Prefect 2 and later http://prefect:4200/api"
    )


def _graphql(client: Client, url: str) -> str | None:
    """Greet the API of Prefect 0.x and 1.x; None: it is another."""
    answer = _json(client.post(f"{url}/graphql", json={"query": "query { hello }"}), url)
    if not isinstance(answer, dict):
        return None
    if any(words in str(answer.get("errors")) for words in _KEY_ERRORS):
        raise _key_error(url)
    has_answered = isinstance(answer.get("data"), dict) and answer["data"].get("hello")
    return f"Prefect's GraphQL API answers at {shown_address(url)}" if has_answered else None


def _rest(client: Client, url: str) -> str | None:
    """Greet the API of Prefect 2 and later; None: it is another."""
    if _json(client.get(f"{url}/health"), url) is not True:
        return None
    version = _json(client.get(f"{url}/admin/version"), url)
    if isinstance(version, str):
        return f"Prefect {one_line(version)} answers at {shown_address(url)}"
    if type(_json(client.post(f"{url}/flows/count", json={}), url)) is int:
        return f"Prefect Cloud answers at {shown_address(url)}"
    return None


def _json(response: Response, url: str) -> Any:
    """Return an answer's JSON, None where it is none or an error of who does not know the path.

    :raises RemoteError: the key is not taken, or the server cannot answer now.
    """
    if response.status_code in (401, 403):
        raise _key_error(url)
    if response.status_code == 429 or response.status_code >= 500:
        told = f"answers with HTTP {response.status_code}"
        raise RemoteError(f"{shown_address(url)} {told}: try again later")
    if response.status_code >= 300:
        return None
    try:
        return response.json()
    except ValueError:
        return None


def _key_error(url: str) -> RemoteRefusedError:
    return RemoteRefusedError(
        f"Prefect at {shown_address(url)} does not take the API key: make a new one there and "
        "write it into the connection, with its tenant or workspace"
    )
