"""What other tries of a task instance have launched, settled in the cluster before and after."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Coroutine
from typing import Any, TypeVar

from flowjob.cluster.api_server import Cluster
from flowjob.cluster.patience import REFUSALS, UNKNOWN_USER
from flowjob.cluster.retries import pause
from flowjob.exceptions import ClusterError, RequestStoppedError
from flowjob.flow_run import IDENTIFIER_LABEL, FlowRun
from flowjob.kubernetes_object import KubernetesObject
from flowjob.launch.earlier_jobs import sort_earlier_jobs, sort_jobs_beside
from flowjob.remote_run import Companion
from flowjob.status.job import is_active
from flowjob.timeouts import LAUNCH_AT_ONCE
from flowjob.wait.until_gone import wait_until_gone

T = TypeVar("T")

log = logging.getLogger(__name__)


class OtherTries:
    """The Jobs of a task instance's other tries, for one that is about to have a Job.

    :param cluster: where they are.
    :param flow_run: the try that launches.
    :param namespace: the namespace of its Job.
    :param limit: seconds that an earlier Job may take to go; None: any number.
    :param stop: nothing is to be launched any more. What then has had no answer is not sent again.
    :param companion: ends what the flow runs have beside the Jobs that are deleted; None: nothing.
    """

    def __init__(
        self,
        cluster: Cluster,
        flow_run: FlowRun,
        namespace: str,
        limit: float | None,
        stop: asyncio.Event,
        companion: Companion | None = None,
    ) -> None:
        self._cluster = cluster
        self._companion = companion
        self._flow_run = flow_run
        self._namespace = namespace
        self._limit = limit
        self._stop = stop
        self._begun = asyncio.get_running_loop().time()

    async def settle(self) -> KubernetesObject | None:
        """Remove the Jobs of earlier tries that are in the way; return the one to go on with.

        A first try looks, too: its run may have been deleted and made again.

        :raises RequestStoppedError: it was stopped.
        :raises ClusterError: the API server gave no usable answer, or an earlier Job does not go.
        """
        try:
            jobs = await self._list(REFUSALS if self._flow_run.try_number > 1 else UNKNOWN_USER)
        except RequestStoppedError:
            raise
        except ClusterError as error:
            if self._flow_run.try_number > 1:
                raise
            log.warning("Whether an earlier run of this task left a Job is not known: %s", error)
            return None
        earlier = sort_earlier_jobs(self._flow_run, jobs)
        for job in earlier.doubtful:
            log.warning(
                "The Job %s may be an earlier one of this task, or one of another Airflow: it is "
                "left alone; set [flowjob] airflow_name to a name that no other Airflow has",
                job["metadata"]["name"],
            )
        for job in earlier.in_the_way:
            await self._delete(job)
        await self.wait_until_gone(earlier.in_the_way)
        if earlier.adopted is not None:
            log.info(
                "Adopted the Job %s of an earlier try, which %s",
                earlier.adopted["metadata"]["name"],
                "goes on" if is_active(earlier.adopted) else "has succeeded",
            )
        return earlier.adopted

    async def settle_beside(self, job: KubernetesObject) -> None:
        """Let one Job stay of those that were launched since ``settle`` looked.

        A launch that took no longer than ``LAUNCH_AT_ONCE`` does not look again: after one that
        did, it has its Job by the time of that look, or will see the other's.

        :param job: this try's Job.
        :raises ClusterError: that of a later try stays, and this one's was deleted.
        """
        if asyncio.get_running_loop().time() - self._begun <= LAUNCH_AT_ONCE:
            return
        await pause(LAUNCH_AT_ONCE, self._stop)
        name, later = job["metadata"]["name"], None
        try:
            earlier, later = sort_jobs_beside(self._flow_run, await self._list())
            for other in earlier:
                which = other["metadata"]["name"]
                log.warning("An earlier try has launched the Job %s meanwhile: deleting it", which)
                await self._delete(other)
        except RequestStoppedError:
            return
        except ClusterError as error:
            # There is a Job now: who waits for it must know.
            log.warning("What other tries have launched meanwhile is not settled: %s", error)
        if later is not None:
            await self._cluster.delete_job(job)
            which = later["metadata"]["name"]
            raise ClusterError(
                f"a later try has launched the Job {which!r} meanwhile: this one's, {name!r}, was "
                "deleted"
            )

    async def wait_until_gone(self, jobs: list[KubernetesObject]) -> None:
        """Wait until these Jobs and their pods are gone.

        :raises RequestStoppedError: it was stopped.
        :raises ClusterError: one does not go, or the API server gave no usable answer.
        """
        for job in jobs:
            log.info("Waiting until the earlier Job %s is gone", job["metadata"]["name"])
            gone = wait_until_gone(self._cluster, job, self._limit)
            waiting = await run_unless(self._stop, gone)
            if self._stop.is_set():
                raise RequestStoppedError("an earlier Job is not waited for any more")
            waiting.result()

    async def _delete(self, job: KubernetesObject) -> None:
        await self._cluster.delete_job(job, stop=self._stop)
        if self._companion is not None:
            await self._companion.end(job)

    async def _list(self, doubted: Collection[int] = REFUSALS) -> list[KubernetesObject]:
        return await self._cluster.list_jobs(
            self._namespace,
            f"{IDENTIFIER_LABEL}={self._flow_run.task_instance.identifier}",
            patience=self._cluster.patience(doubted),
            stop=self._stop,
        )


async def run_unless(event: asyncio.Event, coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
    """Run a coroutine until it has ended or the event comes, which cancels it."""
    running = asyncio.create_task(coroutine)
    stopping = asyncio.create_task(event.wait())
    try:
        await asyncio.wait((running, stopping), return_when=asyncio.FIRST_COMPLETED)
        return running
    finally:
        for task in (running, stopping):
            task.cancel()
        await asyncio.gather(running, stopping, return_exceptions=True)
