"""Reads the API server's audit log: which requests came, and from whom."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Request:
    """One request to the API server. `code` is None while a watch or a log is being followed."""

    verb: str
    resource: str
    subresource: str
    namespace: str
    name: str
    user: str
    user_agent: str
    uri: str
    code: int | None
    ended: bool


class AuditLog:
    """The audit log of a node.

    mark = log.position()
    ...                                  # what is to be measured
    assert log.count(since=mark, verb="list", resource="jobs", namespace=namespace) == 1
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def position(self) -> int:
        """Return the log's present end, to be given as `since` later."""
        return self._path.stat().st_size

    def requests(
        self,
        *,
        since: int = 0,
        verb: str | None = None,
        resource: str | None = None,
        subresource: str | None = None,
        namespace: str | None = None,
        name: str | None = None,
        user: str | None = None,
        user_agent: str | None = None,
        code: int | None = None,
    ) -> list[Request]:
        """Return the requests that have all the given values; of `user_agent` a part is enough.

        A request is logged when it is answered, and one that goes on (a watch, a log that is
        followed) when it has begun. Each counts once.
        """
        exact = {
            "verb": verb,
            "resource": resource,
            "subresource": subresource,
            "namespace": namespace,
            "name": name,
            "user": user,
            "code": code,
        }
        wanted = {key: value for key, value in exact.items() if value is not None}
        return [
            request
            for request in self._all(since)
            if all(getattr(request, key) == value for key, value in wanted.items())
            and (user_agent is None or user_agent in request.user_agent)
        ]

    def count(self, **criteria: Any) -> int:
        """Return the number of requests; the criteria are those of `requests`."""
        return len(self.requests(**criteria))

    def jobs_created(self, identifier: str) -> list[str]:
        """Return the names of all the Jobs that were ever created with this `identifier`."""
        return [
            event["requestObject"]["metadata"]["name"]
            for event in self._events(0)
            if event["stage"] == "ResponseComplete"
            and event["verb"] == "create"
            and event.get("objectRef", {}).get("resource") == "jobs"
            and event.get("responseStatus", {}).get("code") == 201
            and "dryRun" not in event["requestURI"]
            and (event["requestObject"]["metadata"].get("labels") or {}).get("identifier")
            == identifier
        ]

    def _all(self, since: int) -> list[Request]:
        requests: dict[str, Request] = {}
        for event in self._events(since):
            requests[event["auditID"]] = _request(event)
        return list(requests.values())

    def _events(self, since: int) -> Iterator[dict[str, Any]]:
        with self._path.open("rb") as log:
            log.seek(since)
            for line in log:
                if line.endswith(b"\n"):  # else the server is still writing it
                    yield json.loads(line)


def _request(event: dict[str, Any]) -> Request:
    about = event.get("objectRef", {})
    ended = event["stage"] == "ResponseComplete"
    return Request(
        verb=event["verb"],
        resource=about.get("resource", ""),
        subresource=about.get("subresource", ""),
        namespace=about.get("namespace", ""),
        name=about.get("name", ""),
        user=event["user"].get("username", ""),
        user_agent=event.get("userAgent", ""),
        uri=event["requestURI"],
        code=event.get("responseStatus", {}).get("code") if ended else None,
        ended=ended,
    )
