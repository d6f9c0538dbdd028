"""What is known of the flow runs of one namespace, from one watch of Jobs and one of their pods."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Iterable
from typing import Self

from flowjob.cluster.api_server import Cluster
from flowjob.cluster.errors import ApiError, describe
from flowjob.cluster.paths import jobs_path, pods_path
from flowjob.cluster.retries import delays
from flowjob.cluster.watch import Changed, Listed, list_and_watch
from flowjob.exceptions import ClusterError
from flowjob.flow_run import flow_run_id_of, flow_run_selector
from flowjob.kubernetes_object import KubernetesObject
from flowjob.status.observation import Observation
from flowjob.timeouts import LONGEST_LOOK

log = logging.getLogger(__name__)


def watch_of(cluster: Cluster, job: KubernetesObject) -> FlowRunWatch:
    """Return a watch of one Job and its pods."""
    return FlowRunWatch(cluster, job["metadata"]["namespace"], flow_run_selector(job))


class FlowRunWatch:
    """Follows all the flow runs that are waited for; use it as a context manager.

    :param cluster: where the Jobs are.
    :param namespace: the namespace of the Jobs.
    :param label_selector: which Jobs, and pods, are watched.
    """

    def __init__(self, cluster: Cluster, namespace: str, label_selector: str) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._selector = label_selector
        # By flow run id, of all the Jobs that there are, so that who comes late is told at once.
        self._known: dict[str, Observation] = {}
        # Pods whose Job was not seen yet, by flow run id and uid.
        self._unclaimed: dict[str, dict[str, KubernetesObject]] = {}
        self._waiters: dict[str, set[asyncio.Event]] = {}
        self._jobs_listed = asyncio.Event()
        self._turn = asyncio.Lock()
        self._error: Exception | None = None

    async def __aenter__(self) -> Self:
        self._watches = [
            asyncio.create_task(self._watch(jobs_path, self._see_jobs)),
            asyncio.create_task(self._watch(pods_path, self._see_pods)),
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        for watch in self._watches:
            watch.cancel()
        await asyncio.gather(*self._watches, return_exceptions=True)

    async def follow(self, job: KubernetesObject) -> AsyncGenerator[Observation]:
        """Yield what is known of a flow run, at once and after each change, without end.

        Where the right to watch is missing, its Job is read now and then.

        :param job: the Job, of which its metadata suffices.
        :raises ClusterError: the API server is away for too long, or refuses to tell.
        """
        flow_run_id = flow_run_id_of(job)
        changed = asyncio.Event()
        waiters = self._waiters.setdefault(flow_run_id, set())
        waiters.add(changed)
        try:
            await self._jobs_listed.wait()
            await self._take_turn()
            observation = await self._observation_of(job)
            while self._error is None:
                yield observation
                await changed.wait()
                await self._take_turn()
                changed.clear()
        finally:
            waiters.discard(changed)
            if not waiters:
                self._waiters.pop(flow_run_id, None)
        if not _is_forbidden(self._error):
            name = job["metadata"]["name"]
            told = describe(self._error) if self._error else ""
            raise ClusterError(f"cannot watch the Job {name!r}: {told}") from None
        for delay in delays(LONGEST_LOOK):
            await self._look(observation)
            yield observation
            await asyncio.sleep(delay)

    async def _take_turn(self) -> None:
        """Let one waiter go on after the other: a list wakes thousands, who would hold all up."""
        async with self._turn:
            await asyncio.sleep(0)

    async def refresh_pods(self, observation: Observation) -> None:
        """Read the pods of a flow run, as their watch may lag behind that of the Jobs.

        :raises ClusterError: the API server is away for too long, or refuses to tell.
        """
        selector = flow_run_selector(observation.job)
        try:
            async for page in self._cluster.pages(pods_path(self._namespace), selector):
                for pod in page["items"]:
                    observation.pods[pod["metadata"]["uid"]] = pod
        except ApiError as error:
            # As when the pods may not be watched.
            if not _is_forbidden(error):
                raise ClusterError(f"cannot list the pods: {error}") from None

    async def _look(self, observation: Observation) -> None:
        metadata = observation.job["metadata"]
        job = await self._cluster.find_job(self._namespace, metadata["name"])
        if job is None or job["metadata"]["uid"] != metadata["uid"]:
            observation.job_gone = True
        else:
            observation.job = job
        await self.refresh_pods(observation)

    async def _observation_of(self, job: KubernetesObject) -> Observation:
        observation = self._known.get(flow_run_id_of(job))
        if observation is None:
            # The watch may be late, or the Job may be gone.
            observation = Observation(job)
            if self._error is None:
                await self._look(observation)
            if not observation.job_gone:
                observation = self._known.setdefault(flow_run_id_of(job), observation)
        if observation.job["metadata"]["uid"] != job["metadata"]["uid"]:
            return Observation(job, job_gone=True)
        return observation

    async def _watch(
        self, path: Callable[[str], str], see: Callable[[Listed | Changed], None]
    ) -> None:
        try:
            async for event in list_and_watch(self._cluster, path(self._namespace), self._selector):
                see(event)
        except Exception as error:
            if _is_forbidden(error) and path is pods_path:
                # The Jobs alone tell how a flow run ends.
                log.warning("%s: neither exit codes, results nor logs are known", error)
                return
            if _is_forbidden(error):
                log.warning("%s: the Jobs are read now and then instead", error)
            self._error = error
            self._jobs_listed.set()
            for waiters in self._waiters.values():
                _wake(waiters)

    def _see_jobs(self, event: Listed | Changed) -> None:
        if isinstance(event, Changed):
            self._see_job(event.object, gone=event.gone)
            return
        for job in event.items:
            self._see_job(job, gone=False)
        for flow_run_id in self._known.keys() - {flow_run_id_of(job) for job in event.items}:
            self._see_job(self._known[flow_run_id].job, gone=True)
        self._jobs_listed.set()

    def _see_job(self, job: KubernetesObject, *, gone: bool) -> None:
        flow_run_id = flow_run_id_of(job)
        observation = self._known.get(flow_run_id)
        if observation and observation.job["metadata"]["uid"] != job["metadata"]["uid"]:
            # Another Job is in its place.
            observation.job_gone = True
            observation = None
        if observation is None:
            pods = self._unclaimed.pop(flow_run_id, {})
            observation = self._known[flow_run_id] = Observation(job, pods)
        observation.job = job
        if gone:
            # Who waits for it has it still.
            observation.job_gone = True
            del self._known[flow_run_id]
        _wake(self._waiters.get(flow_run_id, ()))

    def _see_pods(self, event: Listed | Changed) -> None:
        if isinstance(event, Changed):
            self._see_pod(event.object, gone=event.gone)
            return
        self._unclaimed.clear()
        for pod in event.items:
            self._see_pod(pod, gone=False)

    def _see_pod(self, pod: KubernetesObject, *, gone: bool) -> None:
        flow_run_id, uid = flow_run_id_of(pod), pod["metadata"]["uid"]
        if observation := self._known.get(flow_run_id):
            # One that is gone stays as it was last seen.
            observation.pods[uid] = pod
            _wake(self._waiters.get(flow_run_id, ()))
            return
        pods = self._unclaimed.setdefault(flow_run_id, {})
        pods[uid] = pod
        if gone:
            del pods[uid]
        if not pods:
            del self._unclaimed[flow_run_id]


def _is_forbidden(error: Exception | None) -> bool:
    return isinstance(error, ApiError) and error.code == 403


def _wake(waiters: Iterable[asyncio.Event]) -> None:
    for waiter in waiters:
        waiter.set()
