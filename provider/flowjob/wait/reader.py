"""Read Jobs and their pods for all who wait, as many as may be at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing

from flowjob.cluster.api_server import Cluster
from flowjob.cluster.errors import ApiError, is_expired, is_forbidden
from flowjob.cluster.patience import REFUSALS, UNKNOWN_USER, Patience, Say
from flowjob.cluster.watch import kept
from flowjob.exceptions import ClusterError
from flowjob.flow_run import FLOW_RUN_ID_LABEL, flow_runs_selector, label
from flowjob.kubernetes_object import KubernetesObject
from flowjob.status.observation import owner_of
from flowjob.status.trimming import trimmed
from flowjob.timeouts import PATIENCE
from flowjob.wait.collection import Collection
from flowjob.wait.followed_jobs import FollowedJob
from flowjob.wait.questions import Questions

# Jobs that are read at once: their ids must fit into an address (proxies take 8 KiB).
_PORTION = 100
# So many that whole lists are tried first: portions of them would be hundreds of requests. Their
# pages are larger for the same reason, and still parsed within a few hundredths of a second.
_MANY = 5000
_PAGE = 250


class Reader:
    """Reads the Jobs of one namespace, and little of the thousands that nobody waits for.

    :param cluster: where the Jobs are.
    :param jobs: the Jobs of the namespace.
    :param pods: its pods.
    :param label_selector: which of them are whole lists.
    :param say: takes what is said while nothing can be read.
    """

    def __init__(
        self,
        cluster: Cluster,
        jobs: Collection,
        pods: Collection,
        label_selector: str,
        say: Say,
    ) -> None:
        self._cluster = cluster
        self._jobs, self._pods = jobs, pods
        self._selector = label_selector
        self._say = say
        # That it was read, or what went wrong.
        self._questions = Questions[FollowedJob, Exception | None](self._read_all)

    async def read(self, followed: FollowedJob) -> None:
        """Read a Job and its pods, together with what others want to have read.

        :raises ClusterError: the API server is away for too long, or refuses to tell.
        """
        if (error := await self._questions.ask(followed)) is not None:
            raise error

    async def close(self) -> None:
        """End what is being read."""
        await self._questions.close()

    async def _read_all(self) -> None:
        asked = self._questions.open
        while asked:
            size = _PORTION if len(asked) < _MANY else len(asked)
            portion = list(asked)[:size]
            told, error = [asked.pop(followed) for followed in portion], None
            try:
                await self._read(portion)
            except Exception as failure:
                # What failed for as long as it is borne with fails for all.
                error = failure
                told += asked.values()
                asked.clear()
            for number, was_read in enumerate(told, 1):
                was_read.set_result(error)
                if number % _PORTION == 0:
                    # Thousands who go on at once would hold all up.
                    await asyncio.sleep(0)

    async def _read(self, portion: Sequence[FollowedJob]) -> None:
        by_uid = {followed.uid: followed for followed in portion}
        beginnings = (self._jobs.beginnings, self._pods.beginnings)
        # First, so that the end of a Job finds them.
        async for pod in self._list(self._pods, portion):
            if owner := by_uid.get(owner_of(pod) or ""):
                owner.see_pods([pod])
        found, shown = set(), set()
        async for job in self._list(self._jobs, portion):
            if followed := by_uid.get(job["metadata"]["uid"]):
                followed.see(job)
                found.add(followed)
                if label(job, FLOW_RUN_ID_LABEL) == followed.flow_run_id:
                    shown.add(followed)
        is_watched = self._jobs.is_watched
        is_watched &= beginnings == (self._jobs.beginnings, self._pods.beginnings)
        for followed in portion:
            if followed not in found:
                await self._find(followed)
            followed.was_read(is_shown=is_watched and followed in shown)

    async def _list(
        self, collection: Collection, wanted: Sequence[FollowedJob]
    ) -> AsyncGenerator[KubernetesObject]:
        """Yield their Jobs or pods, and perhaps others; without the right to list, there are none.

        Many are read as one list, unless there are more in it for which nobody waits.
        """
        if len(wanted) > _PORTION:
            ids, own, count = {each.flow_run_id for each in wanted}, 0, 0
            async with aclosing(self._select(collection, self._selector, size=_PAGE)) as items:
                async for item in items:
                    yield item
                    own, count = own + (label(item, FLOW_RUN_ID_LABEL) in ids), count + 1
                    if count % _PAGE == 0 and own < count / 2:
                        break
                else:
                    return
        for first in range(0, len(wanted), _PORTION):
            labels = flow_runs_selector(e.flow_run_id for e in wanted[first : first + _PORTION])
            fields = ""
            if collection is self._jobs and len(wanted) == 1:
                # Which costs the server the same whether there are ten Jobs or ten thousand.
                name = wanted[0].observation.job["metadata"]["name"]
                labels, fields = "", f"metadata.name={name}"
            async for item in self._select(collection, labels, fields):
                yield item

    async def _select(
        self, collection: Collection, labels: str, fields: str = "", size: int = _PORTION
    ) -> AsyncGenerator[KubernetesObject]:
        """Yield the Jobs or pods that selectors choose; see ``_list``."""
        path = collection.path
        patience = self._cluster.patience(
            # A right that was there is not missing.
            REFUSALS if collection.was_listed else UNKNOWN_USER,
            asked=f"the list of {path}",
            say=self._say,
        )
        whole = Patience(f"no whole list of {path}", PATIENCE, passes=is_expired, say=self._say)
        while True:
            try:
                async for page in self._cluster.pages(
                    path, labels, field_selector=fields, size=size, patience=patience
                ):
                    patience.doubted = REFUSALS
                    for item in filter(None, map(kept, page["items"])):
                        yield item
                    # A page takes some milliseconds, and others wait for the event loop.
                    await asyncio.sleep(0)
                collection.take_listed(page["metadata"]["resourceVersion"])
                return
            except ApiError as error:
                if is_forbidden(error):
                    collection.take_refused(error)
                    return
                if not is_expired(error):
                    raise ClusterError(f"cannot list {path}: {error}") from None
                await asyncio.sleep(whole.take(error))

    async def _find(self, followed: FollowedJob) -> None:
        """Read a Job by its name, whatever its labels are by now."""
        metadata = followed.observation.job["metadata"]
        job = await self._cluster.find_job(metadata["namespace"], metadata["name"])
        if job is None or job["metadata"]["uid"] != followed.uid:
            followed.see_gone()
        else:
            followed.see(trimmed(job))
