"""Reads the API server's audit log: which requests came, and from whom."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Request:
    """One request to the API server.

    `at` is when it came, in seconds since the epoch; `code` is None while a watch or a log is being
    followed.
    """

    at: float
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


@dataclass(frozen=True)
class JobCreated:
    """A Job that was there one day. `labels` are empty where only its name is known."""

    at: float
    name: str
    labels: dict[str, str]


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

    def text(self, *, since: int) -> str:
        """Return all that the log says."""
        with self._path.open("rb") as log:
            log.seek(since)
            return log.read().decode()

    def count(self, **criteria: Any) -> int:
        """Return the number of requests; the criteria are those of `requests`."""
        return len(self.requests(**criteria))

    def jobs_created(self, identifier: str) -> list[str]:
        """Return the names of all the Jobs that were ever created with this `identifier`."""
        return [
            event["requestObject"]["metadata"]["name"]
            for event in self._creations()
            if _code(event) == 201 and _labels(event).get("identifier") == identifier
        ]

    def all_jobs_created(self) -> list[JobCreated]:
        """Return all the Jobs that were ever created, in order.

        Also those of which the API server was killed before it wrote that it had created them: the
        Job controller has written their status.
        """
        created: list[JobCreated] = []
        labels: dict[str, dict[str, str]] = {}
        for event in self._creations():
            name = event["requestObject"]["metadata"]["name"]
            labels[name] = _labels(event)
            if _code(event) == 201:
                created.append(JobCreated(_time(event), name, labels[name]))
        first_seen: dict[str, dict[str, float]] = defaultdict(dict)
        for event in self._events(0):
            about = event.get("objectRef", {})
            if (about.get("resource"), about.get("subresource")) == ("jobs", "status"):
                uid = about.get("uid")
                if uid:
                    first_seen[about["name"]].setdefault(uid, _time(event))
        counts = Counter(job.name for job in created)
        for name, times in first_seen.items():
            for at in sorted(times.values())[counts[name] :]:
                created.append(JobCreated(at, name, labels.get(name, {})))
        return sorted(created, key=lambda job: job.at)

    def _creations(self) -> Iterator[dict[str, Any]]:
        """Yield each request to create a Job that was answered."""
        for event in self._events(0):
            if (
                event["stage"] == "ResponseComplete"
                and event["verb"] == "create"
                and event.get("objectRef", {}).get("resource") == "jobs"
                and "dryRun" not in event["requestURI"]
                and "requestObject" in event
            ):
                yield event

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
        at=_time(event),
        verb=event["verb"],
        resource=about.get("resource", ""),
        subresource=about.get("subresource", ""),
        namespace=about.get("namespace", ""),
        name=about.get("name", ""),
        user=event["user"].get("username", ""),
        user_agent=event.get("userAgent", ""),
        uri=event["requestURI"],
        code=_code(event) if ended else None,
        ended=ended,
    )


def _labels(creation: dict[str, Any]) -> dict[str, str]:
    return creation["requestObject"]["metadata"].get("labels") or {}


def _time(event: dict[str, Any]) -> float:
    return datetime.fromisoformat(event["requestReceivedTimestamp"]).timestamp()


def _code(event: dict[str, Any]) -> int | None:
    code: int | None = event.get("responseStatus", {}).get("code")
    return code
