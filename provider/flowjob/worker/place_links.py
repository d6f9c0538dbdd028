"""``PlaceLinks``: the links of a flow run, written again once it is known where it runs."""

from __future__ import annotations

import asyncio
import logging

from flowjob.cluster.airflow_thread import in_thread
from flowjob.kubernetes_object import KubernetesObject
from flowjob.status.job import has_many_pods
from flowjob.status.observation import Observation, flow_container_status
from flowjob.status.outcome import Outcome
from flowjob.worker import run_links
from flowjob.worker.xcom import XComs

log = logging.getLogger(__name__)


class PlaceLinks:
    """Pushes links while a worker waits, from what is seen anyway; each attempt's pod once.

    :param xcoms: of the task instance.
    :param job: the flow run's Job.
    """

    def __init__(self, xcoms: XComs, job: KubernetesObject) -> None:
        self._xcoms, self._job = xcoms, job
        known_later = map(run_links.is_known_later, run_links.templates().values())
        self._is_wanted = any(known_later)
        self._pods: set[str] = set()
        self._last: asyncio.Task[None] | None = None

    def see(self, news: Observation) -> None:
        """Take what is new of the flow run."""
        if not self._is_wanted or (self._last and not self._last.done()):
            return
        # Of pods that are there side by side, be they thousands, the first tells where to look.
        if self._pods and has_many_pods(self._job):
            return
        for uid, pod in news.pods.items():
            if uid not in self._pods and (place := _place_of(pod)) is not None:
                self._pods.add(uid)
                self._last = asyncio.create_task(self._push(place))
                return

    async def close(self) -> None:
        """Wait until the last links are pushed."""
        if self._last is not None:
            await self._last

    async def _push(self, place: Outcome) -> None:
        try:
            await in_thread(self._xcoms.push_links, self._job, place)
        except Exception as error:
            # They come at the end, too.
            log.warning("The task's links do not say yet where its flow runs: %r", error)


def _place_of(pod: KubernetesObject) -> Outcome | None:
    running = ((flow_container_status(pod) or {}).get("state") or {}).get("running")
    node = (pod.get("spec") or {}).get("nodeName")
    if not running or not node:
        return None
    started_at = running.get("startedAt")
    return Outcome("running", pod=pod["metadata"]["name"], node=node, started_at=started_at)
