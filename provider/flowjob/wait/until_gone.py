"""Wait until a Job that is being deleted is gone, with its pods, and say what holds it up."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing

from flowjob.cluster.api_server import Cluster
from flowjob.cluster.errors import ApiError
from flowjob.exceptions import ClusterError
from flowjob.kubernetes_object import KubernetesObject
from flowjob.timeouts import REMINDER
from flowjob.wait.flow_run_watch import watch_of

log = logging.getLogger(__name__)

# Pods that a sentence names.
_MOST_NAMED = 3


async def wait_until_gone(
    cluster: Cluster, job: KubernetesObject, limit: float | None = None
) -> None:
    """Wait until a Job, and each of its pods, is gone; say once a minute what it waits for.

    :param job: the Job, of which its metadata suffices.
    :param limit: seconds that this may take; None (default): any number.
    :raises ClusterError: it takes longer, the API server is away for too long, or refuses to tell.
    """
    gone = asyncio.create_task(_until_gone(cluster, job))
    name = job["metadata"]["name"]
    try:
        async with asyncio.timeout(limit) as deadline:
            while not (await asyncio.wait((gone,), timeout=REMINDER))[0]:
                left = await _what_is_left(cluster, job)
                log.info("Still waiting until the earlier Job %s is gone%s", name, left)
            gone.result()
    except TimeoutError:
        if not deadline.expired():
            raise
        left = await _what_is_left(cluster, job)
        raise ClusterError(
            f"the earlier Job {name!r} was deleted, and is not gone after {limit:g} s{left}"
        ) from None
    finally:
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)


async def _until_gone(cluster: Cluster, job: KubernetesObject) -> None:
    async with watch_of(cluster, job) as watch, aclosing(watch.follow(job)) as observations:
        async for observation, _ in observations:
            if observation.job_gone:
                return


async def _what_is_left(cluster: Cluster, job: KubernetesObject) -> str:
    """Say which pods, and whose finalizers, keep a Job from going; nothing: it is not known."""
    metadata = job["metadata"]
    try:
        found = await cluster.find_job(metadata["namespace"], metadata["name"])
        pods = await cluster.pods_of(job)
    except (ApiError, ClusterError):
        return ""
    told = [f"its pod {_with_finalizers(pod)} still ends" for pod in pods[:_MOST_NAMED]]
    if len(pods) > _MOST_NAMED:
        told.append(f"and {len(pods) - _MOST_NAMED} more pods")
    if found and not pods:
        told.append(f"what is left is {_with_finalizers(found)}")
    return f": {', '.join(told)}" if told else ""


def _with_finalizers(item: KubernetesObject) -> str:
    name, finalizers = item["metadata"]["name"], item["metadata"].get("finalizers") or []
    return f"{name} (held by its finalizers: {', '.join(finalizers)})" if finalizers else name
