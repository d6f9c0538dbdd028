"""Wait with a Job in a queue of Kueue's, and say what it waits for."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace

from flowjob.exceptions import ClusterError
from flowjob.kubernetes_object import KubernetesObject
from flowjob.status.diagnosis import Diagnosis
from flowjob.status.observation import Observation
from flowjob.status.queue import place_of, queue_of
from flowjob.status.start import is_suspended
from flowjob.timeouts import QUEUE_WORD, REMINDER
from flowjob.wait.workloads import QueueReader

log = logging.getLogger(__name__)


class InQueue:
    """What holds a suspended Job in its queue, asked for when it comes there, and once a minute.

    :param reader: asks Kueue.
    """

    def __init__(self, reader: QueueReader) -> None:
        self._reader = reader
        self._told = ""
        #: When, in the loop's time, to ask next; None: the Job waits in no queue.
        self.next_look: float | None = None
        # Since when it is held by what does not pass by itself.
        self._in_vain_since: float | None = None

    def see(self, observation: Observation) -> None:
        """Take the Job as it was seen."""
        if not is_suspended(observation) or queue_of(observation.job) is None:
            self.next_look, self._in_vain_since, self._told = None, None, ""
        elif self.next_look is None:
            self.next_look = asyncio.get_running_loop().time() + QUEUE_WORD

    async def look(self, job: KubernetesObject, limit: float | None) -> Diagnosis | None:
        """Ask what holds the Job, and say so if it is new.

        :param job: the Job, of which ``next_look`` has come.
        :param limit: seconds for which it may be held by what does not pass by itself, such as a
            queue that there is not; None: any number.
        :returns: what holds it, once it was that for so long; else None.
        """
        loop = asyncio.get_running_loop()
        queue = queue_of(job) or ""
        try:
            place = place_of(queue, await self._reader.workloads_of(job))
        except ClusterError as error:
            self._say(str(error))
            final = None
        else:
            self._say(f"The Job {job['metadata']['name']} waits in queue {queue}: {place.message}")
            final = place.final
        now = loop.time()
        self.next_look = now + REMINDER
        if final is None:
            self._in_vain_since = None
            return None
        if self._in_vain_since is None:
            self._in_vain_since = now
        if limit is None:
            return None
        deadline = self._in_vain_since + limit
        if now < deadline:
            self.next_look = min(self.next_look, deadline)
            return None
        return replace(final, facts=(f"it has not been admitted in {limit:g} s", *final.facts))

    def _say(self, line: str) -> None:
        if line != self._told:
            self._told = line
            log.info("%s", line)
