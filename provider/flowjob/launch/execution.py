"""``Execution``: the one Job of a flow run, for a worker that may have to kill it at any moment."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any, TypeVar

from flowjob.cluster.api_server import Cluster
from flowjob.exceptions import (
    ClusterError,
    FlowJobError,
    FlowRunCancelledError,
    RequestStoppedError,
)
from flowjob.flow_run import FlowRun, flow_run_id_of
from flowjob.kubernetes_object import KubernetesObject
from flowjob.launch.other_tries import OtherTries, run_unless
from flowjob.launch.own_secret import OwnSecret
from flowjob.remote_run import Companion
from flowjob.status.job import is_being_deleted
from flowjob.status.outcome import Outcome

T = TypeVar("T")

log = logging.getLogger(__name__)


class Execution:
    """Launches the Job of a flow run, waits for it, and deletes it when it is killed.

    ``kill`` may come at any moment, in the same event loop as the others: neither Job nor Secret is
    left, and it waits for no more than a request that is on its way.

    :param cluster: where the Job is, or is to be.
    """

    # What begins before this flow run's Job, and ends with a Job that is killed; None: nothing.
    companion: Companion | None = None

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._job: asyncio.Task[KubernetesObject] | None = None
        # What was sent to be created, with or without an answer.
        self._sent: KubernetesObject | None = None
        self._killed = asyncio.Event()
        # Nothing is to be launched any more.
        self._stopped = asyncio.Event()
        self._secret = OwnSecret(cluster, None, self._stopped)
        self._kill_ended = asyncio.Event()
        self._kill_error: ClusterError | None = None
        self._is_deleted = False

    async def launch(
        self,
        flow_run: FlowRun,
        manifest: KubernetesObject,
        limit: float | None = None,
        *,
        secret: KubernetesObject | None = None,
    ) -> KubernetesObject:
        """Create the Job, or adopt the one of an earlier try, and return it.

        :param flow_run: whose Job it is.
        :param manifest: the Job to create.
        :param limit: seconds that an earlier Job may take to go, and a full quota to have room;
            None (default): any number.
        :param secret: the Secret that the Job takes values from; None (default): there is none. A
            companion makes both anew, as they name it.
        :raises FlowRunCancelledError: it was killed before there was a Job.
        :raises JobRefusedError: the API server refuses the Job, or its Secret.
        :raises ClusterError: the API server gave no usable answer, an earlier Job does not go, a
            later try has a Job, or ``leave`` came before there was one.
        """
        self._secret = OwnSecret(self._cluster, secret, self._stopped)
        try:
            return await self._become(self._launch(flow_run, manifest, limit))
        except FlowJobError as error:
            is_stopped = isinstance(error, RequestStoppedError)
            if is_stopped and self._killed.is_set():
                await self._kill_ended.wait()
                self.raise_if_killed()
            await self._secret.remove(unless_job=True)
            if is_stopped:
                raise ClusterError("the worker is to end: a later try launches the Job") from None
            raise

    async def resume(self, namespace: str, job_name: str) -> KubernetesObject | None:
        """Find the Job that this flow run has already; None where it is gone.

        :raises ClusterError: the API server gave no usable answer.
        """
        job = await self._cluster.find_job(namespace, job_name)
        return await self.take(job) if job else None

    async def take(self, job: KubernetesObject) -> KubernetesObject:
        """Go on with a Job that this flow run has already, of which its metadata suffices.

        :raises FlowRunCancelledError: it was killed before, and the Job is deleted now.
        """
        await self._become(_given(job))
        if self._killed.is_set():
            await self.kill()
            self.raise_if_killed()
        return job

    async def wait(self, outcome: Coroutine[Any, Any, Outcome]) -> Outcome:
        """Wait for the outcome of the flow run, or until it is killed.

        :param outcome: what waits for it, such as ``wait_for_outcome``.
        :raises FlowRunCancelledError: it was killed.
        :raises ClusterError: the API server gave no usable answer.
        """
        waiting = await run_unless(self._kill_ended, outcome)
        self.raise_if_killed()
        return waiting.result()

    async def kill(self) -> None:
        """Delete the Job, also one that is only just being created, and end ``wait``.

        Whether it was deleted, ``end_of_kill`` tells.
        """
        self._killed.set()
        self._stopped.set()
        try:
            job = await self._find_job()
            # At once, as a worker that is sent SIGTERM has seconds for both.
            beside = asyncio.create_task(self._end_companion(job))
            try:
                if job is not None:
                    await self._cluster.delete_job(job)
                    self._kill_error, self._is_deleted = None, True
                await self._secret.remove()
            finally:
                await beside
        except ClusterError as error:
            self._kill_error = error
            log.error("The Job of the flow run goes on: %s", error)
        finally:
            self._kill_ended.set()

    def leave(self) -> None:
        """Launch no Job where there is none yet: the worker is to end, and a later try does."""
        self._stopped.set()

    def raise_if_killed(self) -> None:
        """Tell whether ``kill`` was called.

        :raises FlowRunCancelledError: it was; the message says what became of the Job.
        """
        if self._killed.is_set():
            raise FlowRunCancelledError(self.end_of_kill)

    @property
    def has_begun(self) -> bool:
        """Whether anything is known of a Job: a kill that comes before ends with the next step."""
        return self._job is not None

    @property
    def end_of_kill(self) -> str:
        """What became of the Job of a flow run that was killed, in one sentence."""
        if self._kill_error is not None:
            return f"the flow run was cancelled, but its Job goes on: {self._kill_error}"
        if self._is_deleted:
            return "the flow run was cancelled, and its Job deleted"
        return "the flow run was cancelled, and has no Job"

    async def _become(self, job: Coroutine[Any, Any, KubernetesObject]) -> KubernetesObject:
        self._job = asyncio.create_task(job)
        # Who waits here may be interrupted while the request is on its way: `kill` must know
        # what becomes of it.
        return await asyncio.shield(self._job)

    async def _end_companion(self, job: KubernetesObject | None) -> None:
        if self.companion is not None:
            await self.companion.end(job)

    async def _find_job(self) -> KubernetesObject | None:
        """Return the Job as soon as it is known that there is one."""
        if self._job is None:
            return None
        try:
            return await asyncio.shield(self._job)
        except RequestStoppedError:
            if self._sent is None:
                return None
            # Nobody knows whether the API server took it.
            metadata = self._sent["metadata"]
            found = await self._cluster.find_job(metadata["namespace"], metadata["name"])
            is_own = found is not None and flow_run_id_of(found) == flow_run_id_of(self._sent)
            return found if is_own else None
        except FlowJobError:
            return None  # there is none

    async def _launch(
        self, flow_run: FlowRun, manifest: KubernetesObject, limit: float | None
    ) -> KubernetesObject:
        namespace = manifest["metadata"]["namespace"]
        others = OtherTries(
            self._cluster, flow_run, namespace, limit, self._stopped, self.companion
        )
        adopted = await others.settle()
        if adopted is not None:
            await self._secret.give_to(adopted)
            return adopted
        if self.companion is not None:
            manifest, secret = await self.companion.begin(self._stopped)
            self._secret = OwnSecret(self._cluster, secret, self._stopped)
        while True:
            if self._stopped.is_set():
                raise RequestStoppedError("nothing is to be launched any more")
            await self._secret.make(limit)
            self._sent = manifest
            job = await self._cluster.create_job(manifest, limit=limit, stop=self._stopped)
            if not is_being_deleted(job):
                log.info("Created the Job %(name)s in namespace %(namespace)s", job["metadata"])
                await self._secret.give_to(job)
                await others.settle_beside(job)
                return job
            await others.wait_until_gone([job])


async def _given(job: KubernetesObject) -> KubernetesObject:
    return job
