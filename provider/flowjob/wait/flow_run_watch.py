"""What is known of the flow runs of one namespace, from one watch of Jobs and one of their pods."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from typing import Self

from flowjob.cluster.api_server import Cluster
from flowjob.cluster.errors import ApiError, describe
from flowjob.cluster.paths import jobs_path, pods_path
from flowjob.cluster.retries import delays
from flowjob.cluster.watch import Changed, Listed, list_and_watch
from flowjob.exceptions import ClusterError
from flowjob.flow_run import flow_run_selector
from flowjob.kubernetes_object import KubernetesObject
from flowjob.status.observation import Observation
from flowjob.status.trimming import trimmed
from flowjob.timeouts import LONGEST_LOOK, REMINDER
from flowjob.wait.followed_jobs import FollowedJob, FollowedJobs, Word

log = logging.getLogger(__name__)

# Objects of a list that are taken in one go: thousands would hold up all else in the event loop.
_PORTION = 100


def watch_of(cluster: Cluster, job: KubernetesObject) -> FlowRunWatch:
    """Return a watch of one Job and its pods."""
    return FlowRunWatch(cluster, job["metadata"]["namespace"], flow_run_selector(job))


class FlowRunWatch:
    """Follows all the flow runs that are waited for; use it as a context manager.

    :param cluster: where the Jobs are.
    :param namespace: the namespace of the Jobs.
    :param label_selector: which Jobs, and pods, are watched.
    :param asked_again: seconds after which a right to watch that is missing is asked for again.
    """

    def __init__(
        self,
        cluster: Cluster,
        namespace: str,
        label_selector: str,
        *,
        asked_again: float = REMINDER,
    ) -> None:
        self._cluster = cluster
        self._namespace = namespace
        self._selector = label_selector
        self._asked_again = asked_again
        self._jobs = FollowedJobs()
        # Whether it is known which Jobs there are, or that nobody tells.
        self._has_begun = False
        # By REST path: what was last said of a collection that cannot be seen now.
        self._lacks: dict[str, Word] = {}
        self._turn = asyncio.Lock()
        self._error: Exception | None = None

    async def __aenter__(self) -> Self:
        self._watches = [
            asyncio.create_task(self._watch_jobs()),
            asyncio.create_task(self._watch_pods()),
        ]
        return self

    async def __aexit__(self, *_: object) -> None:
        for watch in self._watches:
            watch.cancel()
        await asyncio.gather(*self._watches, return_exceptions=True)

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
        loop, looks, next_look = asyncio.get_running_loop(), delays(LONGEST_LOOK), 0.0
        with self._jobs.follow(job) as (followed, follower):
            for lack in self._lacks.values():
                follower.say(lack)
            while True:
                await self._take_turn()
                for level, text in follower.take_words():
                    log.log(level, "%s", text)
                self._raise_error(job)
                if not self._has_begun:
                    follower.has_news.clear()
                    await follower.has_news.wait()
                    continue
                is_to_be_read = not (followed.is_watched or followed.observation.job_gone)
                if is_to_be_read and loop.time() >= next_look:
                    await self._look(followed, job)
                    next_look = loop.time() + next(looks)
                yield followed.observation, follower.take()
                await _wait(follower.has_news, next_look if is_to_be_read else None)

    async def pods_of(self, job: KubernetesObject) -> list[KubernetesObject]:
        """Read the Job's pods, as their watch may lag behind; without the right to, there are none.

        :raises ClusterError: the API server is away for too long, or refuses to tell.
        """
        try:
            return [trimmed(pod) for pod in await self._cluster.pods_of(job)]
        except ApiError as error:
            if _is_forbidden(error):
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

    async def _look(self, followed: FollowedJob, job: KubernetesObject) -> None:
        """Read a Job, and its pods, by its name, whatever its labels are by now."""
        metadata = job["metadata"]
        found = await self._cluster.find_job(self._namespace, metadata["name"])
        if found is None or found["metadata"]["uid"] != metadata["uid"]:
            followed.see_gone()
        else:
            followed.see(trimmed(found))
        followed.see_listed(await self.pods_of(job))

    async def _watch_jobs(self) -> None:
        await self._watch(
            jobs_path(self._namespace),
            self._see_jobs,
            self._lose_jobs,
            without="the Jobs are read now and then instead",
        )

    async def _watch_pods(self) -> None:
        # The Jobs alone tell how a flow run ends.
        await self._watch(
            pods_path(self._namespace),
            self._see_pods,
            lambda: None,
            without="neither exit codes, results nor logs are known",
        )

    async def _watch(
        self,
        path: str,
        see: Callable[[Listed | Changed], Awaitable[None]],
        lose: Callable[[], None],
        *,
        without: str,
    ) -> None:
        """Watch a collection; where the right to is missing, ask for it again and again."""

        def say(level: int, text: str) -> None:
            self._lacks[path] = level, text
            self._jobs.say((level, text))

        is_told = False
        while True:
            try:
                async for event in list_and_watch(self._cluster, path, self._selector, say):
                    self._lacks.pop(path, None)
                    if is_told:
                        log.info("%s may be watched by now", path)
                    is_told = False
                    await see(event)
            except Exception as error:
                if not _is_forbidden(error):
                    self._error = error
                    self._lose_jobs()
                    return
                if not is_told:
                    log.warning("%s: %s, until it is granted", error, without)
                is_told = True
            lose()
            await asyncio.sleep(self._asked_again)

    async def _see_jobs(self, event: Listed | Changed) -> None:
        if isinstance(event, Changed):
            self._jobs.see_job(event.object, gone=event.gone)
            # Many events may have come at once.
            await asyncio.sleep(0)
            return
        listed = {job["metadata"]["uid"] for job in event.items}
        missing = [
            followed
            for followed in self._jobs
            if followed.is_watched and followed.observation.job["metadata"]["uid"] not in listed
        ]
        async for job in _in_portions(event.items):
            self._jobs.see_job(job, gone=False)
        for followed in missing:
            self._jobs.lose(followed)
        self._begin()

    def _lose_jobs(self) -> None:
        self._jobs.unwatch()
        self._begin()

    def _begin(self) -> None:
        if not self._has_begun:
            self._has_begun = True
            for followed in self._jobs:
                followed.tell()

    async def _see_pods(self, event: Listed | Changed) -> None:
        if isinstance(event, Changed):
            self._jobs.see_pod(event.object, gone=event.gone)
            await asyncio.sleep(0)
            return
        self._jobs.forget_unclaimed_pods()
        async for pod in _in_portions(event.items):
            self._jobs.see_pod(pod, gone=False)


async def _wait(event: asyncio.Event, until: float | None) -> None:
    """Wait for an event, or until this time of the loop's."""
    try:
        async with asyncio.timeout_at(until):
            await event.wait()
    except TimeoutError:
        return


async def _in_portions(items: Iterable[KubernetesObject]) -> AsyncGenerator[KubernetesObject]:
    """Yield objects, and let the loop go on after every so many."""
    for number, item in enumerate(items, 1):
        yield item
        if number % _PORTION == 0:
            await asyncio.sleep(0)


def _is_forbidden(error: Exception) -> bool:
    return isinstance(error, ApiError) and error.code == 403
