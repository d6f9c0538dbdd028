"""List and watch: follow the objects of one collection over every kind of interruption.

What comes from it is trimmed to the fields that this package reads, as a triggerer may have to
remember thousands of them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from dataclasses import dataclass
from typing import Any

from flowjob.cluster.answers import lines_of, read_object
from flowjob.cluster.api_server import Cluster
from flowjob.cluster.errors import ApiError, UnreadableAnswerError
from flowjob.cluster.patience import REFUSALS, Patience, Say
from flowjob.cluster.retries import delays
from flowjob.kubernetes_object import KubernetesObject
from flowjob.status.trimming import trimmed
from flowjob.timeouts import WATCH_SILENCE, WATCH_TIMEOUT

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Listed:
    """All the objects that the collection has now; what is missing is gone."""

    items: list[KubernetesObject]


@dataclass(frozen=True)
class Changed:
    """One object of the collection as it is now, or as it was when it went."""

    object: KubernetesObject
    gone: bool


async def list_and_watch(
    cluster: Cluster, path: str, label_selector: str, say: Say | None = None
) -> AsyncGenerator[Listed | Changed]:
    """Yield the state of a collection and then each change of it, without end.

    A broken connection is taken up where it stopped, an expired resourceVersion listed anew. A
    right that is missing is doubted once it was there: before that, who waits has other ways. An
    object that is not what all are is left out, with a warning.

    :param path: REST path of the collection.
    :param label_selector: Kubernetes label selector of the objects.
    :param say: takes what is said while nothing can be seen; None (default): the log.
    :raises ApiError: the right to list or watch is missing, or the namespace is.
    :raises ClusterError: the API server could not be reached for ten minutes.
    """
    version = ""
    retries = delays()
    patience = cluster.patience(asked=f"the watch of {path}", say=say)
    while True:
        delay = next(retries)
        try:
            if not version:
                items, version = await _list(cluster, path, label_selector, patience)
                yield Listed(items)
            async for event in _watch_once(cluster, path, label_selector, version, patience):
                retries = delays()
                patience.settle()
                version = _version_of(event) or version
                if event["type"] != "BOOKMARK" and (item := _kept(event.get("object"))):
                    yield Changed(item, gone=event["type"] == "DELETED")
            patience.settle()
        except Exception as error:
            if isinstance(error, ApiError) and error.code == 410:
                version = ""
            else:
                delay = max(delay, patience.take(error))
            if isinstance(error, UnreadableAnswerError):
                # What it told, if anything, is told by a list.
                version = ""
        # Also after a clean end: a proxy that ends each watch at once must not be hammered.
        await asyncio.sleep(delay)


async def _list(
    cluster: Cluster, path: str, label_selector: str, patience: Patience
) -> tuple[list[KubernetesObject], str]:
    """Return all the objects, and the resourceVersion to watch them from."""
    items: list[KubernetesObject] = []
    version = ""
    async for page in cluster.pages(path, label_selector, patience=patience):
        items += filter(None, map(_kept, page["items"]))
        version = page["metadata"]["resourceVersion"]
    return items, version


async def _watch_once(
    cluster: Cluster, path: str, label_selector: str, version: str, patience: Patience
) -> AsyncIterator[KubernetesObject]:
    query = {
        "labelSelector": label_selector,
        "watch": "true",
        "allowWatchBookmarks": "true",
        "resourceVersion": version,
        "timeoutSeconds": str(WATCH_TIMEOUT),
    }
    async with cluster.open("GET", path, query, silence=WATCH_SILENCE) as response:
        patience.doubted = REFUSALS
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


def _kept(item: Any) -> KubernetesObject | None:
    """Trim an object, None where it lacks what all have: its neighbours must not suffer."""
    try:
        return trimmed(item)
    except (AttributeError, KeyError, TypeError) as error:
        name = (item.get("metadata") or {}).get("name") if isinstance(item, dict) else None
        log.warning("An object of the cluster's, %r, is left out: it has no %s", name, error)
        return None
