"""Which Jobs and pods are known, whose they are, and who follows them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from flowjob.kubernetes_object import KubernetesObject
from flowjob.status.observation import Observation, has_ended, owner_of

# The level and the text of a line of the log.
Word = tuple[int, str]


class Follower:
    """Who follows one Job, and what of it is still to be shown.

    :param pods: the Job's pods that are known so far.
    """

    def __init__(self, pods: dict[str, KubernetesObject]) -> None:
        self.has_news = asyncio.Event()
        self._new_pods = dict(pods)
        self._words: list[Word] = []

    def tell(self, new_pods: dict[str, KubernetesObject] | None = None) -> None:
        """Say that something is new, of these pods by uid or of the Job."""
        self._new_pods.update(new_pods or {})
        self.has_news.set()

    def say(self, word: Word) -> None:
        """Have it said to who follows."""
        self._words.append(word)
        self.has_news.set()

    def take_words(self) -> list[Word]:
        """Return what was said since the last time."""
        words, self._words = self._words, []
        return words

    def take(self) -> dict[str, KubernetesObject]:
        """Return by uid the pods that are not as they were shown the last time."""
        new_pods, self._new_pods = self._new_pods, {}
        self.has_news.clear()
        return new_pods


@dataclass(eq=False)
class FollowedJob:
    """A Job that is known, by its uid: others may have its labels.

    :param observation: what is known of it and its pods.
    :param is_watched: whether a watch shows it; else it is to be read by its name.
    :param followers: who is told what is new.
    """

    observation: Observation
    is_watched: bool = False
    followers: set[Follower] = field(default_factory=set)

    def see(self, job: KubernetesObject) -> None:
        """Take the Job as it was just seen."""
        if self.observation.job != job:
            self.observation.job = job
            self.tell()

    def see_pod(self, pod: KubernetesObject) -> None:
        """Take one of its pods as it was just seen; one that is gone stays as it was last seen."""
        if self.observation.take_pod(pod):
            uid = pod["metadata"]["uid"]
            self.tell({uid: self.observation.pods[uid]})

    def see_listed(self, pods: Iterable[KubernetesObject]) -> None:
        """Take its pods as a list had them."""
        if new := self.observation.take_listed(pods):
            self.tell(new)

    def see_gone(self) -> None:
        """Take it that the Job is no longer there."""
        self.observation.job_gone = True
        self.tell()

    def tell(self, new_pods: dict[str, KubernetesObject] | None = None) -> None:
        """Tell the followers that something is new."""
        for follower in self.followers:
            follower.tell(new_pods)


class FollowedJobs:
    """All the Jobs that a watch shows, so that who comes late is told at once, or are followed."""

    def __init__(self) -> None:
        self._jobs: dict[str, FollowedJob] = {}
        # By the uid of their Job, which was not seen yet, and by their own.
        self._unclaimed: dict[str, dict[str, KubernetesObject]] = {}

    def __iter__(self) -> Iterator[FollowedJob]:
        return iter(list(self._jobs.values()))

    @contextmanager
    def follow(self, job: KubernetesObject) -> Iterator[tuple[FollowedJob, Follower]]:
        """Give a Job, of which its metadata suffices, and a new follower of it."""
        followed = self._get(job)
        follower = Follower(followed.observation.pods)
        followed.followers.add(follower)
        try:
            yield followed, follower
        finally:
            followed.followers.discard(follower)
            self._forget(followed)

    def say(self, word: Word) -> None:
        """Have it said to all who follow, each in the log of their own task."""
        for followed in self:
            for follower in followed.followers:
                follower.say(word)

    def see_job(self, job: KubernetesObject, *, gone: bool) -> None:
        """Take a Job as the watch shows it."""
        followed = self._get(job)
        followed.see(job)
        followed.is_watched = True
        if gone:
            self.lose(followed)

    def lose(self, followed: FollowedJob) -> None:
        """Take it that the watch no longer shows a Job, which may be there with other labels."""
        followed.is_watched = False
        if has_ended(followed.observation):
            followed.observation.job_gone = True
        followed.tell()
        self._forget(followed)

    def unwatch(self) -> None:
        """Take it that there is no watch any more."""
        for followed in self:
            followed.is_watched = False
            followed.tell()
            self._forget(followed)

    def see_pod(self, pod: KubernetesObject, *, gone: bool) -> None:
        """Take a pod as the watch shows it; one that nothing owns is somebody else's."""
        owner, uid = owner_of(pod), pod["metadata"]["uid"]
        if owner is None:
            return
        if followed := self._jobs.get(owner):
            followed.see_pod(pod)
        elif not gone:
            self._unclaimed.setdefault(owner, {})[uid] = pod
        elif pods := self._unclaimed.get(owner):
            pods.pop(uid, None)
            if not pods:
                del self._unclaimed[owner]

    def forget_unclaimed_pods(self) -> None:
        """Forget the pods without a Job: a list of all that there are follows."""
        self._unclaimed.clear()

    def _get(self, job: KubernetesObject) -> FollowedJob:
        uid = job["metadata"]["uid"]
        if uid not in self._jobs:
            observation = Observation(job)
            observation.take_listed(self._unclaimed.pop(uid, {}).values())
            self._jobs[uid] = FollowedJob(observation)
        return self._jobs[uid]

    def _forget(self, followed: FollowedJob) -> None:
        if not followed.is_watched and not followed.followers:
            self._jobs.pop(followed.observation.job["metadata"]["uid"], None)
