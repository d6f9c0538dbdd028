"""Keep the last lines of pods that the cluster takes away before a worker can read their logs."""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Self

from flowjob.cluster.api_server import Cluster
from flowjob.kubernetes_object import KubernetesObject
from flowjob.logs.lines import Progress, Unfinished, log_lines, split_line
from flowjob.logs.selection import LAST_LINES, LogSelection, LogStream
from flowjob.status.job import is_being_deleted, true_condition
from flowjob.status.observation import Observation, is_final
from flowjob.text import clean
from flowjob.timeouts import TAIL_TIMEOUT

_BYTES = 16 * 1024
# A Job that fails may have thousands of pods: a triggerer has not the connections for all, nor an
# event the room.
_PODS = 10


@dataclass
class Tails:
    """What is kept of the logs of pods that are taken away.

    :param lines: the last lines, and before them whose they are.
    :param pods: the uids of the pods.
    """

    lines: list[str] = field(default_factory=list)
    pods: list[str] = field(default_factory=list)


class PodTails:
    """Reads along once a pod's end is announced; use it as a context manager.

    A Job that reaches its deadline, or its limit of restarts, has its pods deleted: the condition
    FailureTarget and the pods' deletionTimestamp say so before. Of many pods ten are read.
    """

    def __init__(self, cluster: Cluster, selection: LogSelection) -> None:
        self._cluster = cluster
        self._selection = selection
        # By pod uid and container.
        self._readers: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._tails: dict[tuple[str, str], deque[str]] = {}
        # The uids of the pods beyond those that are read.
        self._left_out: set[str] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for reader in self._readers.values():
            reader.cancel()
        await asyncio.gather(*self._readers.values(), return_exceptions=True)

    def see(self, observation: Observation) -> None:
        """Take what was just seen of the flow run."""
        all_end = true_condition(observation.job, "FailureTarget") is not None
        read = {uid for uid, _ in self._readers}
        for uid, pod in observation.pods.items():
            if not (is_being_deleted(pod) or (all_end and not is_final(pod))):
                continue
            if uid not in read and len(read) == _PODS:
                self._left_out.add(uid)
                continue
            read.add(uid)
            for stream in self._selection.streams(pod):
                key = uid, stream.container
                if key not in self._readers:
                    tail = self._tails[key] = deque(maxlen=LAST_LINES)
                    self._readers[key] = asyncio.create_task(self._read(pod, stream, tail))

    async def taken(self, observation: Observation) -> Tails:
        """Return the last lines of the pods that are taken away."""
        if self._readers:
            await asyncio.wait(self._readers.values(), timeout=TAIL_TIMEOUT)
        kept = Tails()
        for (uid, _), tail in self._tails.items():
            if not tail or not _is_taken(observation, uid):
                continue
            lines = _last_bytes(tail)
            name = observation.pods[uid]["metadata"]["name"]
            told = (
                f"The cluster takes the pod {name} away, so here are its last {len(lines)} lines:"
            )
            kept.lines += [told, *lines]
            kept.pods.append(uid)
        if more := sum(_is_taken(observation, uid) for uid in self._left_out):
            told = f"The cluster takes {more} more pods away, and their last lines are not kept"
            kept.lines.append(told)
        return kept

    async def _read(self, pod: KubernetesObject, stream: LogStream, tail: deque[str]) -> None:
        async with aclosing(
            # Before all others: the pod is about to go.
            log_lines(
                self._cluster, pod, stream.container, follow=True, tail=LAST_LINES, priority=-1
            )
        ) as lines:
            async for line in lines:
                if not isinstance(line, Progress | Unfinished):
                    tail.append(clean(stream.prefix + split_line(line)[1]))


def _is_taken(observation: Observation, uid: str) -> bool:
    return observation.job_gone or is_being_deleted(observation.pods[uid])


def _last_bytes(lines: deque[str]) -> list[str]:
    kept: list[str] = []
    size = 0
    for line in reversed(lines):
        size += len(line.encode())
        if size > _BYTES and kept:
            break
        kept.insert(0, line[-_BYTES:])
    return kept
