"""Wait for a flow run: to its end, or until its Job is gone."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import aclosing
from dataclasses import replace
from datetime import datetime
from heapq import nlargest

from flowjob.cluster.api_server import Cluster
from flowjob.cluster.errors import ApiError
from flowjob.cluster.paths import events_path
from flowjob.kubernetes_object import KubernetesObject
from flowjob.logs.follow import FlowLog
from flowjob.logs.selection import LogSelection
from flowjob.status.diagnosis import Diagnosis
from flowjob.status.job import true_condition
from flowjob.status.observation import Observation, created_at, has_ended, is_settled
from flowjob.status.outcome import (
    SUCCEEDED,
    Outcome,
    outcome_of,
    outcome_of_exit,
    outcome_of_flow,
    outcome_of_start,
)
from flowjob.status.progress import Progress
from flowjob.status.start import Start, is_suspended
from flowjob.status.warnings import lost_pods
from flowjob.timeouts import REMINDER
from flowjob.wait.flow_run_watch import FlowRunWatch, watch_of
from flowjob.wait.in_queue import InQueue

log = logging.getLogger(__name__)

# Pods that are looked at in one go.
_PORTION = 100
# Pods of which the events are read, the youngest.
_PODS_ASKED_ABOUT = 10
_NO_CAUSE = Diagnosis("NotStarted", "the cluster does not say why")


async def wait_for_end(
    cluster: Cluster,
    watch: FlowRunWatch,
    job: KubernetesObject,
    on_change: Callable[[Observation], None],
    *,
    startup_timeout: float | None,
    wait_for: str,
    exit_codes: Collection[int] = (),
) -> tuple[Observation, Outcome]:
    """Wait until the flow run is over, and return what was seen then and what it means.

    :param cluster: where the Job is.
    :param watch: of the Job's namespace.
    :param job: the Job, of which its metadata suffices.
    :param on_change: is shown what is new: the Job, and the pods that are not as they were. All
        are shown once more when the Job is about to fail, as that ends them, and at the end.
    :param startup_timeout: seconds that the flow container may take to start, init containers and
        pulls counted and suspension not; None: any number. What it waits for is said each minute;
        what cannot heal by itself ends the flow run at once.
    :param wait_for: ``"job"``: its end; ``"flow"``: that of the flow container, where others keep
        the Job active.
    :param exit_codes: of the flow container, that end the flow run at once, although its Job would
        try again; none (default).
    :raises ClusterError: the API server is away for too long, or refuses to tell.
    """
    waiting = _Waiting(cluster, watch, job, on_change, wait_for, exit_codes)
    return await waiting.until_over(startup_timeout)


class _Waiting:
    """Waits for one flow run; what each change costs goes by what is new, not by how many pods."""

    def __init__(
        self,
        cluster: Cluster,
        watch: FlowRunWatch,
        job: KubernetesObject,
        on_change: Callable[[Observation], None],
        wait_for: str,
        exit_codes: Collection[int],
    ) -> None:
        self._cluster = cluster
        self._watch = watch
        self._job = job
        self._on_change = on_change
        self._wait_for = wait_for
        self._exit_codes = exit_codes
        self._progress = Progress()
        self._start = Start()
        self._queue = InQueue(watch.queues)
        self._is_failing = False
        self._next_word = asyncio.get_running_loop().time() + REMINDER

    async def until_over(self, startup_timeout: float | None) -> tuple[Observation, Outcome]:
        while True:
            if (end := await self._follow(startup_timeout)) is not None:
                return end

    async def _follow(self, startup_timeout: float | None) -> tuple[Observation, Outcome] | None:
        """Follow the flow run to its end; None: until it had been said what it waits for."""
        deadline: float | None = None
        try:
            async with (
                asyncio.timeout(None) as limit,
                aclosing(self._watch.follow(self._job)) as changes,
            ):
                async for observation, new_pods in changes:
                    await self._see(observation, new_pods)
                    if has_ended(observation):
                        break
                    if outcome := self._outcome_before_end(replace(observation, pods=new_pods)):
                        return observation, outcome
                    if (cause := self._start.hopeless) is not None:
                        return observation, outcome_of_start(cause)
                    deadline = self._start_deadline(observation, startup_timeout)
                    limit.reschedule(self._next_look(observation, deadline))
        except TimeoutError:
            if not limit.expired():
                raise
            if self._queue.next_look is not None:
                cause = await self._queue.look(observation.job, startup_timeout)
                return None if cause is None else (observation, outcome_of_start(cause))
            if deadline is None or asyncio.get_running_loop().time() < deadline:
                await self._say_what_it_waits_for(observation)
                return None
            await self._read_pods(observation)
            if self._start.has_started:
                # It did while the API server was away, or its pods' watch late.
                return await self.until_over(None)
            cause = await self._cause(observation)
            return observation, outcome_of_start(_too_late(cause, startup_timeout))
        return observation, await self._outcome(observation)

    def _outcome_before_end(self, news: Observation) -> Outcome | None:
        if outcome := outcome_of_exit(news, self._exit_codes):
            return outcome
        return outcome_of_flow(news) if self._wait_for == "flow" else None

    def _next_look(self, observation: Observation, deadline: float | None) -> float | None:
        """Return when, in the loop's time, to look at what keeps the flow from starting."""
        if is_suspended(observation):
            return self._queue.next_look
        if self._start.has_started:
            return None
        return self._next_word if deadline is None else min(self._next_word, deadline)

    async def _say_what_it_waits_for(self, observation: Observation) -> None:
        cause = await self._cause(observation)
        name = observation.job["metadata"]["name"]
        log.info("The flow of the Job %s has not started yet: %s", name, cause)
        self._next_word = asyncio.get_running_loop().time() + REMINDER

    async def _cause(self, observation: Observation) -> Diagnosis:
        """Say what keeps the flow container from starting."""
        if (cause := self._start.diagnose()) is None:
            # Only then: with thousands that wait, what they ask each minute counts.
            cause = self._start.diagnose(await _events_of(self._cluster, observation))
        return cause or _NO_CAUSE

    async def _see(self, observation: Observation, new_pods: dict[str, KubernetesObject]) -> None:
        if true_condition(observation.job, "FailureTarget") and not self._is_failing:
            self._is_failing = True
            new_pods = dict(observation.pods)
        async for news in _in_portions(observation, new_pods):
            self._on_change(news)
            self._start.see(news)
            self._queue.see(news)
            for line in self._progress.news(news):
                log.info("%s", line)

    async def _outcome(self, observation: Observation) -> Outcome:
        """Say how the flow run ended, by pods that have ended, too."""
        if is_settled(observation):
            await self._see(observation, dict(observation.pods))
        else:
            await self._read_pods(observation)
        if len(observation.pods) > _PORTION:
            # It looks at all pods, and must not hold up all else in the event loop.
            seen = replace(observation, pods=dict(observation.pods))
            outcome = await asyncio.to_thread(outcome_of, seen)
        else:
            outcome = outcome_of(observation)
        if outcome.status == SUCCEEDED and (lost := lost_pods(observation)) is not None:
            log.warning("%s", lost)
        return outcome

    async def _read_pods(self, observation: Observation) -> None:
        observation.take_listed(await self._watch.pods_of(self._job))
        # Also what the watch has shown while nobody followed.
        await self._see(observation, dict(observation.pods))

    def _start_deadline(
        self, observation: Observation, startup_timeout: float | None
    ) -> float | None:
        """Return until when, in the loop's time, the flow container must have started."""
        if startup_timeout is None or self._start.has_started or is_suspended(observation):
            return None
        loop = asyncio.get_running_loop()
        # Set anew when a suspended Job is released. The Job controller sets it within moments.
        started = (observation.job.get("status") or {}).get("startTime")
        waited = 0.0
        if started:
            then = datetime.fromisoformat(started)
            waited = max((self._cluster.now - then).total_seconds(), 0)
        return loop.time() + max(startup_timeout - waited, 0)


async def _in_portions(
    observation: Observation, new_pods: dict[str, KubernetesObject]
) -> AsyncIterator[Observation]:
    """Yield what is new, so many pods at a time, and let the loop go on between them."""
    pods = list(new_pods.items())
    yield replace(observation, pods=dict(pods[:_PORTION]))
    for begin in range(_PORTION, len(pods), _PORTION):
        await asyncio.sleep(0)
        yield replace(observation, pods=dict(pods[begin : begin + _PORTION]))


async def wait_for_outcome(
    cluster: Cluster,
    job: KubernetesObject,
    emit: Callable[[str], None],
    selection: LogSelection,
    *,
    startup_timeout: float | None,
    wait_for: str,
    exit_codes: Collection[int] = (),
    on_change: Callable[[Observation], None] = lambda news: None,
    limit: float | None = None,
) -> Outcome:
    """Wait until the flow run is over, and emit the lines of its containers meanwhile.

    :param cluster: where the Job is.
    :param job: the Job as it was created or found.
    :param emit: takes each line of the log.
    :param selection: of which containers.
    :param startup_timeout: see ``wait_for_end``, as for the rest.
    :param limit: seconds that the flow run may take: no line is emitted before it is over, as
        another is to have them all where it goes on; None (default): any number.
    :raises TimeoutError: it goes on.
    :raises ClusterError: the API server is away for too long, or refuses to tell.
    """
    flow_log = FlowLog(cluster, selection, emit, is_held=limit is not None)

    def see(news: Observation) -> None:
        flow_log.see(news)
        on_change(news)

    try:
        async with asyncio.timeout(limit), watch_of(cluster, job) as watch:
            _, outcome = await wait_for_end(
                cluster,
                watch,
                job,
                see,
                startup_timeout=startup_timeout,
                wait_for=wait_for,
                exit_codes=exit_codes,
            )
        await flow_log.finish()
    finally:
        await flow_log.close()
    return outcome


async def _events_of(cluster: Cluster, observation: Observation) -> list[KubernetesObject]:
    """Read the events about the Job and its youngest pods; without the right to, there are none."""
    path = events_path(observation.job["metadata"]["namespace"])
    pods = nlargest(_PODS_ASKED_ABOUT, observation.pods.values(), key=created_at)
    uids = {item["metadata"]["uid"] for item in (observation.job, *pods)}
    try:
        return [
            event
            for uid in sorted(uids)
            async for page in cluster.pages(path, field_selector=f"involvedObject.uid={uid}")
            for event in page["items"]
        ]
    except ApiError as error:
        log.info("The events are not read: %s", error)
        return []


def _too_late(cause: Diagnosis, startup_timeout: float | None) -> Diagnosis:
    late = f"the flow container has not started in {startup_timeout:g} s"
    return replace(cause, facts=(late, *cause.facts))
