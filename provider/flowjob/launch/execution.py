"""``Execution``: the one Job of a flow run, for a worker that may have to kill it at any moment."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from flowjob.cluster.api_server import Cluster
from flowjob.exceptions import FlowJobError, FlowRunCancelledError
from flowjob.flow_run import IDENTIFIER_LABEL, FlowRun
from flowjob.kubernetes_object import KubernetesObject
from flowjob.launch.earlier_jobs import sort_earlier_jobs
from flowjob.status.job import is_active, is_being_deleted
from flowjob.status.outcome import Outcome
from flowjob.wait.until_end import wait_until_gone

log = logging.getLogger(__name__)


class Execution:
    """Launches the Job of a flow run, waits for it, and deletes it when it is killed.

    ``kill`` may come at any moment, in the same event loop as the others: no Job is left.

    :param cluster: where the Job is, or is to be.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._job: asyncio.Task[KubernetesObject] | None = None
        self._is_killed = False
        self._kill_ended = asyncio.Event()

    async def launch(self, flow_run: FlowRun, manifest: KubernetesObject) -> KubernetesObject:
        """Create the Job, or adopt the one of an earlier try, and return it.

        :param flow_run: whose Job it is.
        :param manifest: the Job to create.
        :raises FlowRunCancelledError: it was killed before there was a Job.
        :raises JobRefusedError: the API server refuses the Job.
        :raises ClusterError: the API server gave no usable answer.
        """
        return await self._become(self._launch(flow_run, manifest))

    async def resume(self, namespace: str, job_name: str) -> KubernetesObject | None:
        """Find the Job that this flow run has already; None where it is gone.

        :raises ClusterError: the API server gave no usable answer.
        """
        job = await self._cluster.find_job(namespace, job_name)
        return await self.take(job) if job else None

    async def take(self, job: KubernetesObject) -> KubernetesObject:
        """Go on with a Job that this flow run has already, of which its metadata suffices.

        :raises FlowRunCancelledError: it was killed before, and the Job is deleted now.
        :raises ClusterError: the Job cannot be deleted.
        """
        await self._become(_given(job))
        if self._is_killed:
            await self._cluster.delete_job(job)
            self.raise_if_killed()
        return job

    async def wait(self, outcome: Coroutine[Any, Any, Outcome]) -> Outcome:
        """Wait for the outcome of the flow run, or until it is killed.

        :param outcome: what waits for it, such as ``wait_for_outcome``.
        :raises FlowRunCancelledError: it was killed.
        :raises ClusterError: the API server gave no usable answer.
        """
        waiting = asyncio.create_task(outcome)
        killed = asyncio.create_task(self._kill_ended.wait())
        try:
            await asyncio.wait((waiting, killed), return_when=asyncio.FIRST_COMPLETED)
            self.raise_if_killed()
            return waiting.result()
        finally:
            for task in (waiting, killed):
                task.cancel()
            await asyncio.gather(waiting, killed, return_exceptions=True)

    async def kill(self) -> None:
        """Delete the Job, also one that is only just being created, and end ``wait``.

        :raises ClusterError: the Job cannot be deleted.
        """
        self._is_killed = True
        try:
            if self._job is not None:
                try:
                    job = await asyncio.shield(self._job)
                except FlowJobError:
                    return  # there is none
                await self._cluster.delete_job(job)
        finally:
            self._kill_ended.set()

    async def _become(self, job: Coroutine[Any, Any, KubernetesObject]) -> KubernetesObject:
        self._job = asyncio.create_task(job)
        # Who waits here may be interrupted while the request is on its way: `kill` must know
        # what becomes of it.
        return await asyncio.shield(self._job)

    async def _launch(self, flow_run: FlowRun, manifest: KubernetesObject) -> KubernetesObject:
        adopted = await self._settle_earlier_jobs(flow_run, manifest["metadata"]["namespace"])
        if adopted is not None:
            return adopted
        while True:
            self.raise_if_killed()
            job = await self._cluster.create_job(manifest)
            if not is_being_deleted(job):
                log.info("Created the Job %(name)s in namespace %(namespace)s", job["metadata"])
                return job
            await self._wait_until_gone([job])

    async def _settle_earlier_jobs(
        self, flow_run: FlowRun, namespace: str
    ) -> KubernetesObject | None:
        """Remove the Jobs of earlier tries that are in the way; return the one to go on with."""
        if flow_run.try_number == 1:
            return None
        selector = f"{IDENTIFIER_LABEL}={flow_run.task_instance.identifier}"
        earlier = sort_earlier_jobs(flow_run, await self._cluster.list_jobs(namespace, selector))
        for job in earlier.in_the_way:
            await self._cluster.delete_job(job)
        await self._wait_until_gone(earlier.in_the_way)
        if earlier.adopted is not None:
            log.info(
                "Adopted the Job %s of an earlier try, which %s",
                earlier.adopted["metadata"]["name"],
                "goes on" if is_active(earlier.adopted) else "has succeeded",
            )
        return earlier.adopted

    async def _wait_until_gone(self, jobs: list[KubernetesObject]) -> None:
        for job in jobs:
            log.info("Waiting until the earlier Job %s is gone", job["metadata"]["name"])
            await wait_until_gone(self._cluster, job)

    def raise_if_killed(self) -> None:
        """Tell whether ``kill`` was called.

        :raises FlowRunCancelledError: it was.
        """
        if self._is_killed:
            raise FlowRunCancelledError("the flow run was cancelled, and its Job deleted")


async def _given(job: KubernetesObject) -> KubernetesObject:
    return job
