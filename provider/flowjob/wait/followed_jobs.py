"""The Jobs that are followed, what is known of them and their pods, and who follows them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import dataclass, field

from flowjob.cluster.retries import delays
from flowjob.flow_run import flow_run_id_of
from flowjob.kubernetes_object import KubernetesObject
from flowjob.status.observation import Observation, has_ended, owner_of
from flowjob.timeouts import LONGEST_LOOK

log = logging.getLogger(__name__)


class Follower:
    """Who follows one Job, and what of it is still to be shown.

    :param pods: the Job's pods that are known so far.
    """

    def __init__(self, pods: dict[str, KubernetesObject]) -> None:
        self.has_news = asyncio.Event()
        self._new_pods = dict(pods)
        self._context = copy_context()

    def tell(self, new_pods: dict[str, KubernetesObject] | None = None) -> None:
        """Say that something is new, of these pods by uid or of the Job."""
        self._new_pods.update(new_pods or {})
        self.has_news.set()

    def say(self, level: int, text: str) -> None:
        """Say it in the log of who follows: a triggerer knows whose that is by the context."""
        self._context.run(log.log, level, "%s", text)

    def take(self) -> dict[str, KubernetesObject]:
        """Return by uid the pods that are not as they were shown the last time."""
        new_pods, self._new_pods = self._new_pods, {}
        self.has_news.clear()
        return new_pods


@dataclass(eq=False)
class FollowedJob:
    """A Job that is followed, by its uid: others may have its labels.

    :param flow_run_id: of which flow run it is; its labels may be changed by anybody.
    :param observation: what is known of it and its pods.
    :param is_shown: whether the watch shows all that changes from what is known; else it is to be
        read.
    :param followers: who is told what is new.
    """

    flow_run_id: str
    observation: Observation
    is_shown: bool = False
    followers: set[Follower] = field(default_factory=set)
    _looks: Iterator[float] = field(default_factory=lambda: delays(LONGEST_LOOK))
    _next_look: float = 0.0

    @property
    def uid(self) -> str:
        """Which Job it is."""
        uid: str = self.observation.job["metadata"]["uid"]
        return uid

    @property
    def next_look(self) -> float | None:
        """When, in the loop's time, it is to be read; None: it is not."""
        return None if self.is_shown or self.observation.job_gone else self._next_look

    def see(self, job: KubernetesObject) -> None:
        """Take the Job as it was seen."""
        if self.observation.take_job(job):
            self.tell()

    def see_pods(self, pods: Iterable[KubernetesObject]) -> None:
        """Take some of its pods as they were seen; one that is gone stays as it was last seen."""
        if new := self.observation.take_listed(pods):
            self.tell(new)

    def see_gone(self) -> None:
        """Take it that the Job is no longer there."""
        self.observation.job_gone = True
        self.tell()

    def was_read(self, *, is_shown: bool) -> None:
        """Take it that what is known is what there was just now."""
        self.is_shown = is_shown
        self._next_look = asyncio.get_running_loop().time() + next(self._looks)

    def lose(self) -> None:
        """Take it that the watch no longer shows the Job, or has missed something: read it."""
        self.is_shown = False
        self._looks, self._next_look = delays(LONGEST_LOOK), 0.0
        self.tell()

    def see_leave(self) -> None:
        """Take it that the Job has left the watch: it may be there with other labels."""
        if has_ended(self.observation):
            self.see_gone()
        else:
            self.lose()

    def tell(self, new_pods: dict[str, KubernetesObject] | None = None) -> None:
        """Tell the followers that something is new."""
        for follower in self.followers:
            follower.tell(new_pods)


class FollowedJobs:
    """All the Jobs that are followed; of others nothing is remembered."""

    def __init__(self) -> None:
        self._jobs: dict[str, FollowedJob] = {}

    def __iter__(self) -> Iterator[FollowedJob]:
        return iter(list(self._jobs.values()))

    @contextmanager
    def follow(self, job: KubernetesObject) -> Iterator[tuple[FollowedJob, Follower]]:
        """Give a Job, of which its metadata suffices, and a new follower of it."""
        uid = job["metadata"]["uid"]
        followed = self._jobs.setdefault(uid, FollowedJob(flow_run_id_of(job), Observation(job)))
        follower = Follower(followed.observation.pods)
        followed.followers.add(follower)
        try:
            yield followed, follower
        finally:
            followed.followers.discard(follower)
            if not followed.followers:
                self._jobs.pop(uid, None)

    def say(self, level: int, text: str) -> None:
        """Have it said to all who follow, each in the log of their own task."""
        for followed in self:
            for follower in followed.followers:
                follower.say(level, text)

    def lose(self) -> None:
        """Take it that the watch may have missed something of each."""
        for followed in self:
            followed.lose()

    def see_job(self, job: KubernetesObject, *, gone: bool) -> None:
        """Take a Job as the watch shows it."""
        if followed := self._jobs.get(job["metadata"]["uid"]):
            followed.see(job)
            if gone:
                followed.see_leave()

    def see_pod(self, pod: KubernetesObject) -> None:
        """Take a pod as the watch shows it."""
        if followed := self._jobs.get(owner_of(pod) or ""):
            followed.see_pods([pod])
