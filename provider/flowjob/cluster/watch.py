"""Watch: follow what changes in one collection over every kind of interruption.

What is there at its beginning is for others to read, as thousands of ended Jobs may be kept. What
comes from it is trimmed to the fields that this package reads, as a triggerer may have to remember
thousands of them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Any

from flowjob.cluster.answers import lines_of, read_object
from flowjob.cluster.api_server import Cluster
from flowjob.cluster.errors import ApiError, UnreadableAnswerError, is_expired
from flowjob.cluster.patience import REFUSALS, Patience
from flowjob.cluster.retries import delays
from flowjob.kubernetes_object import KubernetesObject
from flowjob.status.trimming import trimmed
from flowjob.timeouts import WATCH_SILENCE, WATCH_TIMEOUT

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Opened:
    """The server shows what changes; it may have taken its time to."""


@dataclass(frozen=True)
class Changed:
    """One object of the collection as it is now, or as it was when it went."""

    object: KubernetesObject
    gone: bool


async def watch(
    cluster: Cluster, path: str, label_selector: str, version: str, patience: Patience
) -> AsyncGenerator[Opened | Changed]:
    """Yield each change of a collection, until what has changed is no longer known: read it then.

    A broken connection is taken up where it stopped; the end is an expired resourceVersion, or an
    event that cannot be read. A right that is missing is doubted once it was there: before that,
    who waits has other ways. An object that is not what all are is left out, with a warning.

    :param path: REST path of the collection.
    :param label_selector: Kubernetes label selector of the objects.
    :param version: the resourceVersion of a list of them, from which on changes are told.
    :param patience: of all the watches of it, one after the other.
    :raises ApiError: the right to watch is missing, or the namespace is.
    :raises ClusterError: the API server could not be reached for ten minutes.
    """
    retries = delays()
    while True:
        delay = next(retries)
        try:
            async for event in _watch_once(cluster, path, label_selector, version, patience):
                if event is None:
                    yield Opened()
                    continue
                retries = delays()
                patience.settle()
                version = _version_of(event) or version
                if event["type"] != "BOOKMARK" and (item := kept(event.get("object"))):
                    yield Changed(item, gone=event["type"] == "DELETED")
            patience.settle()
        except Exception as error:
            if is_expired(error):
                return
            delay = max(delay, patience.take(error))
            if isinstance(error, UnreadableAnswerError):
                return
        # Also after a clean end: a proxy that ends each watch at once must not be hammered.
        await asyncio.sleep(delay)


async def _watch_once(
    cluster: Cluster, path: str, label_selector: str, version: str, patience: Patience
) -> AsyncIterator[KubernetesObject | None]:
    """Yield None once the watch is open, and then its events."""
    query = {
        "labelSelector": label_selector,
        "watch": "true",
        "allowWatchBookmarks": "true",
        "resourceVersion": version,
        "timeoutSeconds": str(WATCH_TIMEOUT),
    }
    async with cluster.open("GET", path, query, silence=WATCH_SILENCE) as response:
        patience.doubted = REFUSALS
        yield None
        async for line in lines_of(response):
            event = read_object(line, "type")
            if event["type"] == "ERROR":
                # An expired resourceVersion comes as HTTP 200 with a 410 inside.
                status = event.get("object") or {}
                raise ApiError(status.get("code", 500), status)
            yield event


def _version_of(event: KubernetesObject) -> str | None:
    try:
        version: str | None = event["object"]["metadata"].get("resourceVersion")
    except (AttributeError, KeyError, TypeError):
        return None
    return version


def kept(item: Any) -> KubernetesObject | None:
    """Trim an object, None where it lacks what all have: its neighbours must not suffer."""
    try:
        return trimmed(item)
    except (AttributeError, KeyError, TypeError) as error:
        name = (item.get("metadata") or {}).get("name") if isinstance(item, dict) else None
        log.warning("An object of the cluster's, %r, is left out: it has no %s", name, error)
        return None
