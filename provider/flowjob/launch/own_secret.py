"""``OwnSecret``: the Secret of a flow run, made before its Job, given to it, or removed without."""

from __future__ import annotations

import asyncio
import logging

from flowjob.cluster.api_server import Cluster
from flowjob.cluster.errors import describe
from flowjob.cluster.secrets import Secrets
from flowjob.exceptions import ClusterError, JobRefusedError, RequestStoppedError
from flowjob.kubernetes_object import KubernetesObject
from flowjob.launch.secret import owned, takes_from_own_secret
from flowjob.status.job import is_being_deleted
from flowjob.timeouts import SECRET_REMOVAL

log = logging.getLogger(__name__)


class OwnSecret:
    """The Secret that the flow container of a flow run takes values from.

    A pod that does not find its Secret starts ten seconds late, so it is there before the Job.

    :param cluster: where it is to be.
    :param manifest: the Secret; None: the flow run needs none, and nothing is done.
    :param stop: nothing is to be launched any more. What then has had no answer is not sent again.
    """

    def __init__(
        self, cluster: Cluster, manifest: KubernetesObject | None, stop: asyncio.Event
    ) -> None:
        self._cluster = cluster
        self._secrets = Secrets(cluster)
        self._manifest = manifest
        self._stop = stop
        # It may be there, and no Job has it.
        self._is_loose = False

    async def make(self, limit: float | None) -> None:
        """Create it before the Job.

        :param limit: seconds that a full quota on Secrets may take to have room; None: any number.
        :raises RequestStoppedError: it was stopped.
        :raises JobRefusedError: the API server refuses it.
        :raises ClusterError: the API server gave no usable answer.
        """
        if self._manifest is None:
            return
        self._is_loose = True
        try:
            await self._secrets.create(self._manifest, limit=limit, stop=self._stop)
        except JobRefusedError as error:
            self._is_loose = False
            raise JobRefusedError(
                f"{error}; or name a Secret that is there already, as with "
                'PrefectCloudFlow(api_key_secret="name/key")'
            ) from None

    async def give_to(self, job: KubernetesObject) -> None:
        """Have it go with the Job, also with one of an earlier try, whose worker may have died.

        Where that fails it is left to the sweep.
        """
        if not takes_from_own_secret(job):
            return
        name, manifest = job["metadata"]["name"], self._manifest
        try:
            is_there = await self._secrets.give(job, stop=self._stop)
            if not is_there and manifest is not None and manifest["metadata"]["name"] == name:
                # It went with an earlier Job of the same name.
                await self._secrets.create(owned(manifest, job), stop=self._stop)
        except RequestStoppedError:
            return
        except (ClusterError, JobRefusedError) as error:
            log.warning("The Secret %s will not go with its Job: %s", name, error)
            return
        self._is_loose = False

    async def remove(self, *, unless_job: bool = False) -> None:
        """Delete it if no Job has it; what cannot be deleted at once is left to the sweep.

        :param unless_job: there may be a Job which needs it, and with which it is to stay then.
        """
        if self._manifest is None or not self._is_loose:
            return
        metadata = self._manifest["metadata"]
        namespace, name = metadata["namespace"], metadata["name"]
        try:
            async with asyncio.timeout(SECRET_REMOVAL):
                job = await self._cluster.find_job(namespace, name) if unless_job else None
                if job is None or is_being_deleted(job):
                    await self._secrets.delete(self._manifest)
                    self._is_loose = False
        except (ClusterError, TimeoutError) as error:
            log.warning("The Secret %s is left to the sweep: %s", name, describe(error))
