"""What Kueue knows of the Jobs that wait in its queues, for those who may read it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence

from flowjob.cluster.api_server import Cluster
from flowjob.cluster.errors import ApiError, describe
from flowjob.cluster.paths import workloads_path
from flowjob.exceptions import ClusterError
from flowjob.flow_run import label
from flowjob.kubernetes_object import KubernetesObject
from flowjob.status.queue import JOB_UID_LABEL
from flowjob.timeouts import QUEUE_ANSWER, QUEUE_GATHERING, REMINDER
from flowjob.wait.questions import Questions

# Jobs that are asked about at once: their uids must fit into an address (proxies take 8 KiB).
_PORTION = 100
# Of Kueue's API, the newest first: a cluster has one of them, or both.
_VERSIONS = ("v1beta2", "v1beta1")

Workloads = list[KubernetesObject]


class QueueReader:
    """Reads the Workloads of one namespace, those of many Jobs in one request.

    Nobody needs them: where the right to list them is missing, Kueue is, or it does not answer, the
    Job alone tells that it waits. Then nobody asks again for a minute.

    :param cluster: where the Jobs are.
    :param namespace: the namespace of the Jobs.
    """

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster = cluster
        self._namespace = namespace
        # By the uid of a Job.
        self._questions = Questions[str, Workloads | ClusterError](self._read_all)
        self._lack: ClusterError | None = None
        self._asked_again = 0.0

    async def workloads_of(self, job: KubernetesObject) -> Workloads:
        """Return the Workloads of a Job, together with what others ask for.

        :raises ClusterError: they cannot be read.
        """
        found = await self._questions.ask(job["metadata"]["uid"])
        if isinstance(found, ClusterError):
            raise found
        return found

    async def close(self) -> None:
        """End what is being read."""
        await self._questions.close()

    async def _read_all(self) -> None:
        asked = self._questions.open
        while asked:
            await asyncio.sleep(QUEUE_GATHERING)
            portion = list(asked)[:_PORTION]
            askers = {uid: asked.pop(uid) for uid in portion}
            found = await self._read_or_lack(portion)
            for uid, answer in askers.items():
                answer.set_result(found if isinstance(found, ClusterError) else found[uid])

    async def _read_or_lack(self, uids: Sequence[str]) -> dict[str, Workloads] | ClusterError:
        now = asyncio.get_running_loop().time()
        if self._lack is not None and now < self._asked_again:
            return self._lack
        try:
            async with asyncio.timeout(QUEUE_ANSWER):
                found = await self._read(uids)
        except Exception as error:
            told = f"Kueue's Workloads are not read: {describe(error)}"
            self._lack, self._asked_again = ClusterError(told), now + REMINDER
            return self._lack
        self._lack = None
        return found

    async def _read(self, uids: Sequence[str]) -> dict[str, Workloads]:
        try:
            return await self._list(uids, _VERSIONS[0])
        except ApiError as error:
            if error.code != 404:
                raise
        return await self._list(uids, _VERSIONS[1])

    async def _list(self, uids: Sequence[str], version: str) -> dict[str, Workloads]:
        selector = f"{JOB_UID_LABEL} in ({','.join(uids)})"
        path, patience = workloads_path(self._namespace, version), self._cluster.impatience()
        found: dict[str, Workloads] = defaultdict(list)
        async for page in self._cluster.pages(path, selector, patience=patience):
            for workload in page["items"]:
                found[label(workload, JOB_UID_LABEL) or ""].append(workload)
        return found
