"""``Looks``: what the cluster shows of flow runs that go on, however many people look at once."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Collection, Iterable
from itertools import groupby

from flowjob.cluster.api_server import Cluster
from flowjob.cluster.errors import ApiError, describe, is_transient
from flowjob.cluster.paths import jobs_path, pods_path
from flowjob.exceptions import FlowJobError
from flowjob.flow_run import FLOW_RUN_ID_LABEL, label
from flowjob.kubernetes_object import KubernetesObject
from flowjob.status.present import Present, present_of
from flowjob.text import one_line
from flowjob.ui.job_place import JobPlace

log = logging.getLogger(__name__)

# A connection and a namespace: what one list is of.
Group = tuple[str, str]

# Seconds: for which what was seen serves all who ask, and for which a cluster that could not be
# asked is left alone.
_FRESH = 4.0
_REST = 15.0
# Seconds that a page waits; a look that takes longer goes on, and serves the next one.
DEADLINE = 5.0
# Looks at once, in one process of the API server.
MOST_LOOKS = 20
# Objects of a list that are looked at: a Job may have thousands of pods.
_MOST_OBJECTS = 500
# What stands in an XCom is from outside, and these become part of a request.
_NAMESPACE = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_FLOW_RUN_ID = re.compile(r"[0-9a-f-]{36}")


class Looks:
    """Asks clusters for flow runs: two lists a connection and namespace, one such look at a time.

    It belongs to one event loop.
    """

    def __init__(self) -> None:
        self._running: dict[Group, asyncio.Task[None]] = {}
        # With the time until which it holds.
        self._seen: dict[JobPlace, tuple[float, Present]] = {}
        self._failed: dict[Group, tuple[float, str]] = {}

    async def at(
        self, places: Iterable[JobPlace], *, deadline: float = DEADLINE
    ) -> tuple[dict[str, Present], list[str]]:
        """Look at flow runs.

        :param places: where they are; those that no Job can be at are left out.
        :param deadline: seconds after which what is known by then is told.
        :returns: what is seen, by the flow runs' ids; and sentences that say which clusters could
            not be asked, and why.
        """
        end = self._until(deadline)
        self._forget()
        possible = sorted((p for p in places if _is_possible(p)), key=_group_of)
        groups = {group: list(found) for group, found in groupby(possible, key=_group_of)}
        seen: dict[str, Present] = {}
        failures = await asyncio.gather(
            *(self._look(group, groups[group], end, seen) for group in groups)
        )
        return seen, sorted(filter(None, failures))

    async def _look(
        self, group: Group, places: list[JobPlace], end: float, seen: dict[str, Present]
    ) -> str | None:
        """Add what is seen of a group's flow runs; return why they could not be looked at."""
        failure = await self._failure(group, places, end)
        # At once: others forget what is too old for them.
        seen |= {p.flow_run_id: self._seen[p][1] for p in places if p in self._seen}
        return failure

    async def _failure(self, group: Group, places: list[JobPlace], end: float) -> str | None:
        """Have the flow runs of a group looked at; return why they could not be."""
        conn_id, namespace = group
        about = f"Namespace {namespace}, by the Airflow connection {conn_id!r}: "
        # What is too old was forgotten when this look began.
        while wanted := [place for place in places if place not in self._seen]:
            if group in self._failed:
                return about + self._failed[group][1]
            if group not in self._running:
                if len(self._running) >= MOST_LOOKS:
                    return f"{about}{MOST_LOOKS} others are asked already"
                self._begin(group, wanted)
            left, running = end - self._until(0), self._running[group]
            if left <= 0 or not (await asyncio.wait([running], timeout=left))[0]:
                return f"{about}the cluster has not answered in time"
        return None

    def _begin(self, group: Group, places: list[JobPlace]) -> None:
        task = asyncio.create_task(self._ask(group, places))
        self._running[group] = task
        task.add_done_callback(lambda _: self._running.pop(group, None))

    async def _ask(self, group: Group, places: list[JobPlace]) -> None:
        conn_id, namespace = group
        ids = sorted({place.flow_run_id for place in places})
        try:
            async with Cluster(conn_id) as cluster:
                jobs, pods = await asyncio.gather(
                    *(_listed(cluster, path(namespace), ids) for path in (jobs_path, pods_path))
                )
        except Exception as error:
            self._failed[group] = self._until(_REST), _reason(error)
            return
        for place in places:
            job = next((job for job in jobs if _is_at(job, place)), None)
            present = present_of(job, (pod for pod in pods if _is_of(pod, place)))
            self._seen[place] = self._until(_FRESH), present

    def _until(self, seconds: float) -> float:
        return asyncio.get_running_loop().time() + seconds

    def _forget(self) -> None:
        """Keep nothing that is too old to be told."""
        now = self._until(0)
        self._seen = {key: entry for key, entry in self._seen.items() if entry[0] > now}
        self._failed = {key: entry for key, entry in self._failed.items() if entry[0] > now}


async def _listed(cluster: Cluster, path: str, ids: Collection[str]) -> list[KubernetesObject]:
    """List the objects of these flow runs, the first of them; who looks waits for no server."""
    selector = f"{FLOW_RUN_ID_LABEL} in ({','.join(ids)})"
    found: list[KubernetesObject] = []
    async for page in cluster.pages(path, selector, patience=cluster.impatience()):
        found += page["items"]
        if len(found) >= _MOST_OBJECTS:
            break
    return found


def _group_of(place: JobPlace) -> Group:
    return place.kubernetes_conn_id, place.namespace


def _is_possible(place: JobPlace) -> bool:
    return bool(_NAMESPACE.fullmatch(place.namespace) and _FLOW_RUN_ID.fullmatch(place.flow_run_id))


def _is_of(item: KubernetesObject, place: JobPlace) -> bool:
    return label(item, FLOW_RUN_ID_LABEL) == place.flow_run_id


def _is_at(job: KubernetesObject, place: JobPlace) -> bool:
    return job["metadata"]["name"] == place.job_name and _is_of(job, place)


def _reason(error: Exception) -> str:
    if isinstance(error, FlowJobError | ApiError) or is_transient(error):
        return one_line(describe(error))
    log.warning("The cluster could not be asked for flow runs: %r", error)
    return type(error).__name__
