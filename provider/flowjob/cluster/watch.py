"""List and watch: follow the objects of one collection over every kind of interruption.

What comes from it is trimmed to the fields that this package reads, as a triggerer may have to
remember thousands of them.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass

from flowjob.cluster.api_server import Cluster
from flowjob.cluster.errors import ApiError, describe, is_transient
from flowjob.cluster.retries import delays
from flowjob.kubernetes_object import KubernetesObject
from flowjob.timeouts import DOUBT, WATCH_SILENCE, WATCH_TIMEOUT

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
    cluster: Cluster, path: str, label_selector: str
) -> AsyncIterator[Listed | Changed]:
    """Yield the state of a collection and then each change of it, without end.

    A broken connection is taken up where it stopped, an expired resourceVersion listed anew.

    :param path: REST path of the collection.
    :param label_selector: Kubernetes label selector of the objects.
    :raises ApiError: the right to list or watch is missing, or the namespace is.
    """
    version = ""
    retries = delays()
    doubt = _Doubt()
    while True:
        try:
            if not version:
                items: list[KubernetesObject] = []
                async for page in cluster.pages(path, label_selector):
                    items += [_trimmed(item) for item in page["items"]]
                    version = page["metadata"]["resourceVersion"]
                doubt.settle()
                yield Listed(items)
            async for event in _watch_once(cluster, path, label_selector, version):
                version = event["object"]["metadata"]["resourceVersion"]
                retries = delays()
                doubt.settle()
                if event["type"] != "BOOKMARK":
                    yield Changed(_trimmed(event["object"]), gone=event["type"] == "DELETED")
        except Exception as error:
            if isinstance(error, ApiError) and error.code == 410:
                version = ""
            elif not is_transient(error) and not doubt.remains(error):
                raise
            else:
                log.info("The watch of %s broke off (%s), trying again", path, describe(error))
        # Also after a clean end: a proxy that ends each watch at once must not be hammered.
        await asyncio.sleep(next(retries))


class _Doubt:
    """Whether a refusal may pass: the right was there, and is missing only since a moment."""

    def __init__(self) -> None:
        self._was_granted = False
        self._refused_since: float | None = None

    def settle(self) -> None:
        """Take it that the right is there."""
        self._was_granted, self._refused_since = True, None

    def remains(self, error: Exception) -> bool:
        """Take it that the server refused, and tell whether to ask again."""
        if not (self._was_granted and isinstance(error, ApiError) and error.code == 403):
            return False
        now = asyncio.get_running_loop().time()
        if self._refused_since is None:
            self._refused_since = now
        return now - self._refused_since < DOUBT


async def _watch_once(
    cluster: Cluster, path: str, label_selector: str, version: str
) -> AsyncIterator[KubernetesObject]:
    query = {
        "labelSelector": label_selector,
        "watch": "true",
        "allowWatchBookmarks": "true",
        "resourceVersion": version,
        "timeoutSeconds": str(WATCH_TIMEOUT),
    }
    async with cluster.open("GET", path, query, silence=WATCH_SILENCE) as response:
        async for line in response.content:
            event = json.loads(line)
            if event["type"] == "ERROR":
                # An expired resourceVersion comes as HTTP 200 with a 410 inside.
                raise ApiError(event["object"].get("code", 500), event["object"])
            yield event


_JOB_SPEC = ("backoffLimit", "completions", "managedBy", "parallelism", "ttlSecondsAfterFinished")
_CONTAINER = ("name", "resources", "restartPolicy")
_METADATA = ("name", "namespace", "uid", "labels", "creationTimestamp", "deletionTimestamp")


def _trimmed(item: KubernetesObject) -> KubernetesObject:
    """Keep what outcomes and logs are made of."""
    metadata, spec = item["metadata"], item["spec"]
    kept: KubernetesObject = {
        "metadata": {name: metadata[name] for name in _METADATA if name in metadata},
        "status": item.get("status") or {},
    }
    kept["spec"] = {name: spec[name] for name in _JOB_SPEC if name in spec}
    if "containers" in spec:
        kept["spec"] = {
            "restartPolicy": spec.get("restartPolicy"),
            "nodeName": spec.get("nodeName"),
            "initContainers": _trimmed_containers(spec.get("initContainers") or []),
            "containers": _trimmed_containers(spec["containers"]),
        }
    return kept


def _trimmed_containers(containers: list[KubernetesObject]) -> list[KubernetesObject]:
    return [{name: each[name] for name in _CONTAINER if name in each} for each in containers]
