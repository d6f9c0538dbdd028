"""What is known of the flow runs of one namespace, from one watch of Jobs and one of their pods."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from typing import Self

from flowjob.cluster.api_server import Cluster
from flowjob.cluster.errors import ApiError, describe, is_forbidden
from flowjob.cluster.paths import jobs_path, pods_path
from flowjob.cluster.watch import Changed
from flowjob.exceptions import ClusterError
from flowjob.flow_run import flow_run_selector
from flowjob.kubernetes_object import KubernetesObject
from flowjob.status.job import is_new
from flowjob.status.observation import Observation
from flowjob.status.trimming import trimmed
from flowjob.timeouts import REMINDER
from flowjob.wait.collection import Collection
from flowjob.wait.followed_jobs import FollowedJobs
from flowjob.wait.reader import Reader
from flowjob.wait.workloads import QueueReader


def watch_of(cluster: Cluster, job: KubernetesObject) -> FlowRunWatch:
    """Return a watch of one Job and its pods.

    :param job: the Job, of which its metadata suffices. As it was answered when it was created, all
        that becomes of it comes from the watch: nothing has to be read first.
    """
    return FlowRunWatch(
        cluster,
        job["metadata"]["namespace"],
        flow_run_selector(job),
        new_job=job if is_new(job) else None,
    )


class FlowRunWatch:
    """Follows all the flow runs that are waited for; use it as a context manager.

    :param cluster: where the Jobs are.
    :param namespace: the namespace of the Jobs.
    :param label_selector: which Jobs, and pods, are watched.
    :param asked_again: seconds after which a right to watch that is missing is asked for again.
    :param new_job: the one Job that it is for, which was created just now; None (default): what
        there is, is to be read first.
    """

    def __init__(
        self,
        cluster: Cluster,
        namespace: str,
        label_selector: str,
        *,
        asked_again: float = REMINDER,
        new_job: KubernetesObject | None = None,
    ) -> None:
        self._cluster = cluster
        self._selector = label_selector
        self._asked_again = asked_again
        self._followed = FollowedJobs()
        self._jobs = Collection(
            jobs_path(namespace), "the Jobs are read now and then instead", self._followed.lose
        )
        # The Jobs alone tell how a flow run ends.
        self._pods = Collection(
            pods_path(namespace),
            "neither exit codes, results nor logs are known",
            self._followed.lose,
        )
        self._reader = Reader(cluster, self._jobs, self._pods, label_selector, self._followed.say)
        #: Asks what holds Jobs in the queues of the namespace.
        self.queues = QueueReader(cluster, namespace)
        # By REST path: what was last said of a collection that cannot be seen now.
        self._lacks: dict[str, tuple[int, str]] = {}
        self._new_job = new_job
        if new_job is not None:
            self._jobs.begin_at(new_job["metadata"]["resourceVersion"])
            # From whatever a cache of the server's has: it has none of an older flow run's pods.
            self._pods.begin_at("0")
        self._turn = asyncio.Lock()
        self._error: Exception | None = None

    async def __aenter__(self) -> Self:
        self._watches = [
            asyncio.create_task(self._watch(self._jobs, self._see_job)),
            asyncio.create_task(self._watch(self._pods, self._see_pod)),
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._watches:
            task.cancel()
        await asyncio.gather(*self._watches, return_exceptions=True)
        await self._reader.close()
        await self.queues.close()

    async def follow(
        self, job: KubernetesObject
    ) -> AsyncGenerator[tuple[Observation, dict[str, KubernetesObject]]]:
        """Yield what is known of a flow run, at once and after each change, without end.

        With it come, by uid, the pods that are not as they were the last time. A Job that the watch
        does not show, such as where the right to watch is missing, is read now and then. What the
        watch waits for is said in the log of each who follows.

        :param job: the Job, of which its metadata suffices.
        :raises ClusterError: the API server is away for too long, or refuses to tell.
        """
        loop = asyncio.get_running_loop()
        with self._followed.follow(job) as (followed, follower):
            if job is self._new_job:
                self._new_job = None  # to who comes later, it is not
                followed.was_read(is_shown=self._jobs.is_watched and self._pods.is_watched)
            for level, text in self._lacks.values():
                follower.say(level, text)
            while True:
                self._raise_error(job)
                if (next_look := followed.next_look) is not None and loop.time() >= next_look:
                    await self._reader.read(followed)
                await self._take_turn()
                yield followed.observation, follower.take()
                await _wait(follower.has_news, followed.next_look)

    async def pods_of(self, job: KubernetesObject) -> list[KubernetesObject]:
        """Read the Job's pods, as their watch may lag behind; without the right to, there are none.

        :raises ClusterError: the API server is away for too long, or refuses to tell.
        """
        try:
            return [trimmed(pod) for pod in await self._cluster.pods_of(job)]
        except ApiError as error:
            if is_forbidden(error):
                return []
            raise ClusterError(f"cannot list the pods: {error}") from None

    async def _take_turn(self) -> None:
        """Let one waiter go on after the other: a list wakes thousands, who would hold all up."""
        async with self._turn:
            await asyncio.sleep(0)

    def _raise_error(self, job: KubernetesObject) -> None:
        if self._error is not None:
            told = describe(self._error)
            raise ClusterError(f"cannot watch the Job {job['metadata']['name']!r}: {told}")

    def _see_job(self, event: Changed) -> None:
        self._followed.see_job(event.object, gone=event.gone)

    def _see_pod(self, event: Changed) -> None:
        self._followed.see_pod(event.object)

    async def _watch(self, collection: Collection, see: Callable[[Changed], None]) -> None:
        def say(level: int, text: str) -> None:
            self._lacks[collection.path] = level, text
            self._followed.say(level, text)

        try:
            async for event in collection.changes(
                self._cluster, self._selector, say, self._asked_again
            ):
                self._lacks.pop(collection.path, None)
                if isinstance(event, Changed):
                    see(event)
                # Many events may have come at once.
                await asyncio.sleep(0)
        except Exception as error:
            self._error = error
            self._followed.lose()


async def _wait(event: asyncio.Event, until: float | None) -> None:
    """Wait for an event, or until this time of the loop's."""
    try:
        async with asyncio.timeout_at(until):
            await event.wait()
    except TimeoutError:
        return
