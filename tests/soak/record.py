"""What happened in a soak: printed as it happens, and kept for the verdict."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, field

from flowjob.flow_run import TaskInstanceKey
from tests.soak.kinds import TASK_ID, Kind


@dataclass(frozen=True)
class Deed:
    """What a user did to a task instance.

    :param what: one of `plan.MEDDLES`.
    :param state: what Airflow called the task instance just before.
    :param begun: when it was asked for (seconds since the epoch), and `ended`, when answered.
    """

    what: str
    state: str
    begun: float
    ended: float


@dataclass
class Subject:
    """A task instance, and what users did to it."""

    dag_id: str
    run_id: str
    kind: Kind
    deferrable: bool
    deeds: list[Deed] = field(default_factory=list)

    @property
    def key(self) -> TaskInstanceKey:
        return TaskInstanceKey(self.dag_id, self.run_id, TASK_ID)

    @property
    def name(self) -> str:
        """What its flows call themselves in their lines."""
        return f"{self.dag_id}.{self.run_id}"

    @property
    def is_deleted(self) -> bool:
        return bool(self.deeds) and self.deeds[-1].what == "delete run"


@dataclass
class Killed:
    """What was killed, and for how long it was away (seconds since the epoch).

    :param what: one of `plan.KILLS`.
    :param name: of a task or its supervisor: the task instance, by the name of its flows.
    """

    what: str
    name: str
    begun: float
    ended: float | None = None


class Record:
    """Takes down what is done, by several threads."""

    def __init__(self) -> None:
        self.subjects: list[Subject] = []
        self.kills: list[Killed] = []
        self.counts: Counter[str] = Counter()
        self._begun = time.monotonic()
        self._lock = threading.Lock()

    @property
    def elapsed(self) -> float:
        """Seconds since the begin."""
        return time.monotonic() - self._begun

    def say(self, what: str) -> None:
        with self._lock:
            print(f"{self.elapsed:6.1f} s  {what}", flush=True)
