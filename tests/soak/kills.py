"""Kills parts of the soak's own Airflow and node at random, and starts them again."""

from __future__ import annotations

import heapq
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import count
from pathlib import Path

from tests.soak.plan import (
    AIRFLOW_API,
    KUBE_API,
    SCHEDULER,
    SCHEDULER_ALONE,
    SUPERVISOR,
    TASK,
    TRIGGERER,
    Kill,
    choose,
)
from tests.soak.record import Killed, Record
from tests.support.airflow.component import ComponentError
from tests.support.airflow.instance import AirflowInstance
from tests.support.node.node import Node
from tests.support.wait import wait_for

# The log that a supervisor writes says whose process it has.
_LOG = re.compile(r"/dag_id=(soak_[^/]+)/run_id=([^/]+)/task_id=[^/]+/attempt=\d+\.log$")


@dataclass(frozen=True)
class Supervised:
    """A process of a task, and that of its supervisor."""

    name: str
    task: int
    supervisor: int


class Killer:
    """Does what the plan says about kills."""

    def __init__(
        self, node: Node, airflow: AirflowInstance, record: Record, stop: threading.Event
    ) -> None:
        self._node, self._airflow, self._record, self._stop = node, airflow, record, stop
        self._down: dict[str, Killed] = {}
        self._due: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = count()
        self._starts: dict[str, Callable[[], None]] = {
            "scheduler": airflow.scheduler.start,
            TRIGGERER: airflow.triggerer.start,
            AIRFLOW_API: airflow.api_server.start,
            KUBE_API: node.start_api_server,
        }
        self._kills: dict[str, Callable[[], None]] = {
            SCHEDULER: airflow.scheduler.kill,
            SCHEDULER_ALONE: self._kill_scheduler_alone,
            TRIGGERER: airflow.triggerer.kill,
            AIRFLOW_API: airflow.api_server.kill,
            KUBE_API: node.kill_api_server,
        }

    def run(self, kills: Sequence[Kill]) -> None:
        """Kill and start, until all is done or there is to be an end; then all runs again."""
        try:
            for kill in kills:
                self._do_at(kill.at, partial(self._kill, kill))
            while self._due:
                at, _, act = heapq.heappop(self._due)
                if self._stop.wait(max(at - self._record.elapsed, 0)):
                    break
                self._check_running()
                act()
        except BaseException:
            self._stop.set()
            raise
        for part in list(self._down):
            self._start(part)

    def _do_at(self, at: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._due, (at, next(self._numbers), act))

    def _check_running(self) -> None:
        """No part may end by itself."""
        components = {
            "scheduler": self._airflow.scheduler,
            TRIGGERER: self._airflow.triggerer,
            AIRFLOW_API: self._airflow.api_server,
            "DAG processor": self._airflow.dag_processor,
        }
        for name, component in components.items():
            if name not in self._down:
                component.check_running()

    def _kill(self, kill: Kill) -> None:
        if kill.what in (TASK, SUPERVISOR):
            self._kill_task(kill)
            return
        part = "scheduler" if kill.what in (SCHEDULER, SCHEDULER_ALONE) else kill.what
        if part in self._down:
            return
        killed = Killed(kill.what, "", time.time())
        self._kills[kill.what]()
        self._down[part] = killed
        self._note(killed)
        self._record.say(f"killed: {kill.what}, for {kill.away:.1f} s")
        self._do_at(self._record.elapsed + kill.away, partial(self._start, part))

    def _kill_scheduler_alone(self) -> None:
        scheduler = self._airflow.scheduler
        scheduler.ask_to_end(signal.SIGKILL)
        wait_for(lambda: not scheduler.is_running, "the scheduler to end")

    def _start(self, part: str) -> None:
        self._starts[part]()
        self._down.pop(part).ended = time.time()
        self._record.say(f"started again: {part}")

    def _kill_task(self, kill: Kill) -> None:
        if "scheduler" in self._down:
            return
        candidates = sorted(self._supervised(), key=lambda one: one.name)
        if not candidates:
            return
        chosen = choose(kill.pick, candidates)
        if _kill(chosen, chosen.task if kill.what == TASK else chosen.supervisor):
            now = time.time()
            self._note(Killed(kill.what, chosen.name, now, now))
            self._record.say(f"killed: the {kill.what} of {chosen.name}")

    def _note(self, killed: Killed) -> None:
        self._record.kills.append(killed)
        self._record.counts[f"killed: {killed.what}"] += 1

    def _supervised(self) -> Iterator[Supervised]:
        with suppress(ComponentError):
            for supervisor in _children(self._airflow.scheduler.process_id):
                name = _name_of(supervisor)
                for task in _children(supervisor) if name else ():
                    yield Supervised(name, task, supervisor)


def _kill(chosen: Supervised, process: int) -> bool:
    """Kill one of both, if the supervisor still has its task; say whether it had.

    An idle supervisor is no such: it holds the lock of the executor's queue, which would be lost.
    """
    try:
        os.kill(chosen.supervisor, signal.SIGSTOP)
    except ProcessLookupError:
        return False
    has_it = chosen.task in _children(chosen.supervisor) and _name_of(chosen.supervisor) != ""
    if has_it:
        os.kill(process, signal.SIGKILL)
    with suppress(ProcessLookupError):
        os.kill(chosen.supervisor, signal.SIGCONT)
    return has_it


def _children(process: int) -> list[int]:
    children: list[int] = []
    with suppress(OSError):
        for thread in Path(f"/proc/{process}/task").iterdir():
            with suppress(OSError):
                children += map(int, (thread / "children").read_text().split())
    return children


def _name_of(supervisor: int) -> str:
    """Return the name of the task instance whose log this process writes, "" if it writes none."""
    with suppress(OSError):
        for descriptor in Path(f"/proc/{supervisor}/fd").iterdir():
            with suppress(OSError):
                if found := _LOG.search(str(descriptor.readlink())):
                    return f"{found[1]}.{found[2]}"
    return ""
