"""What users do in a soak: start flow runs, mark and clear tasks, mark and delete runs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import TypeVar

from tests.soak.kinds import TASK_ID
from tests.soak.plan import Meddle, Start, choose
from tests.soak.record import Deed, Record, Subject
from tests.support.airflow.client import (
    AirflowClient,
    AirflowClientError,
    AirflowNotFoundError,
    AirflowServerError,
    AirflowUnreachableError,
)
from tests.support.wait import wait_for

T = TypeVar("T")

_UNFINISHED = ("running", "deferred", "queued", "scheduled", "up_for_retry", "restarting")
_ENDED = ("success", "failed", "skipped")
# How long a user asks an API server that is away, in seconds, and between two times.
_PATIENCE, _INTERVAL = 300.0, 0.5


class Users:
    """Do what the plan says about users, one after the other."""

    def __init__(self, client: AirflowClient, record: Record, stop: threading.Event) -> None:
        self._client, self._record, self._stop = client, record, stop
        self._acts: dict[str, Callable[[Subject], None]] = {
            "mark success": partial(self._mark, state="success"),
            "mark failed": partial(self._mark, state="failed"),
            "clear": self._clear,
            "clear ended": self._clear,
            "mark run success": partial(self._mark_run, state="success"),
            "mark run failed": partial(self._mark_run, state="failed"),
            "delete run": self._delete_run,
            "delete and create run": self._delete_and_create_run,
        }

    def run(self, deeds: Sequence[Start | Meddle]) -> None:
        try:
            for deed in deeds:
                if self._stop.wait(max(deed.at - self._record.elapsed, 0)):
                    break
                if isinstance(deed, Start):
                    self._start(deed)
                else:
                    self._meddle(deed)
        except BaseException:
            self._stop.set()
            raise

    def _start(self, start: Start) -> None:
        dag_id = start.kind.dag_id(deferrable=start.deferrable)
        subject = Subject(dag_id, f"soak-{start.number:04}", start.kind, start.deferrable)
        self._record.subjects.append(subject)
        self._create_run(subject, start.ticks)
        self._record.say(f"started: {subject.name}, {start.ticks / 2:g} s")

    def _meddle(self, meddle: Meddle) -> None:
        states = _ENDED if meddle.what == "clear ended" else _UNFINISHED
        found = self._persist(lambda: self._in_states(states))
        if not found:
            return
        subject, state = choose(meddle.pick, found)
        begun = time.time()
        self._acts[meddle.what](subject)
        subject.deeds.append(Deed(meddle.what, state, begun, time.time()))
        self._record.counts[f"users: {meddle.what}"] += 1
        self._record.say(f"{meddle.what}: {subject.name}, which was {state}")

    def _in_states(self, states: Sequence[str]) -> list[tuple[Subject, str]]:
        """Return the task instances in these states, and the state of each."""
        instances = self._client.request(
            "GET",
            "dags/~/dagRuns/~/taskInstances",
            params={"state": states, "limit": 100, "order_by": "-start_date"},
        )["task_instances"]
        found = {(one["dag_id"], one["dag_run_id"]): one["state"] for one in instances}
        return [
            (subject, found[subject.dag_id, subject.run_id])
            for subject in self._record.subjects
            if (subject.dag_id, subject.run_id) in found
        ]

    def _mark(self, subject: Subject, state: str) -> None:
        key = subject.key
        self._persist(lambda: self._client.set_state(key.dag_id, key.run_id, TASK_ID, state))

    def _clear(self, subject: Subject) -> None:
        self._persist(lambda: self._client.clear(subject.dag_id, subject.run_id, [TASK_ID]))

    def _mark_run(self, subject: Subject, state: str) -> None:
        self._persist(lambda: self._client.set_run_state(subject.dag_id, subject.run_id, state))

    def _delete_run(self, subject: Subject) -> None:
        # Airflow deletes no run that goes on.
        self._mark_run(subject, "failed")

        def delete() -> None:
            # An earlier request may have done it, whose answer was lost.
            with suppress(AirflowNotFoundError):
                self._client.delete_run(subject.dag_id, subject.run_id)

        self._persist(delete)
        # It may answer a moment before it has committed.
        wait_for(lambda: not self._is_there(subject), f"the deletion of {subject.name}")

    def _delete_and_create_run(self, subject: Subject) -> None:
        self._delete_run(subject)
        self._create_run(subject, ticks=10)

    def _create_run(self, subject: Subject, ticks: int) -> None:
        body = {
            "dag_run_id": subject.run_id,
            "conf": {"ticks": ticks},
            "logical_date": None,
        }

        def create() -> None:
            try:
                self._client.request("POST", f"dags/{subject.dag_id}/dagRuns", json=body)
            except AirflowClientError as error:
                # An earlier request did it, whose answer was lost.
                if "with 409" not in str(error):
                    raise

        self._persist(create)
        wait_for(lambda: self._is_there(subject), f"the run {subject.name}")

    def _is_there(self, subject: Subject) -> bool:
        def ask() -> bool:
            try:
                return bool(self._client.dag_run(subject.dag_id, subject.run_id))
            except AirflowNotFoundError:
                return False

        return self._persist(ask)

    def _persist(self, request: Callable[[], T]) -> T:
        """Ask until there is an answer, as a user does."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                return request()
            except (AirflowUnreachableError, AirflowServerError):
                if time.monotonic() > deadline or self._stop.wait(_INTERVAL):
                    raise
