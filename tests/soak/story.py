"""What is left of a task instance after a soak, and what in it breaks a promise.

Pure: what is known is given.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from typing import Any

from flowjob.flow_run import FLOW_RUN_ID_LABEL
from tests.soak.plan import AIRFLOW_API, KUBE_API, SCHEDULER, SCHEDULER_ALONE, TRIGGERER
from tests.soak.record import Deed, Killed, Subject
from tests.support.audit import JobCreated

# Seconds in which an old try may still create its Job after a user has ended it.
_LATE_CREATION = 40.0
# Seconds before a deed in which a killed process may not have been missed yet, and after it in
# which its end may keep the deed from being heard of.
_BEFORE, _AFTER = 45.0, 20.0
# Seconds in which Airflow hears of the end of a task's process.
_HEARD = 5.0
_OF_ALL = {SCHEDULER, SCHEDULER_ALONE, TRIGGERER, AIRFLOW_API, KUBE_API}

_MARKED = {
    "mark success": {"success"},
    "mark failed": {"failed"},
    "mark run success": {"success", "skipped"},
    "mark run failed": {"failed", "skipped"},
}
_BEGINS_ANEW = {"clear", "clear ended", "delete and create run"}


@dataclass(frozen=True)
class Line:
    """What one pod of a flow run left: that it begins, runs, or ends, and with which code."""

    flow_run_id: str
    pod: str
    word: str
    code: int | None = None


@dataclass
class Story:
    """All that is known of a task instance.

    :param lines: what its flows left, in order.
    :param jobs: its Jobs that were ever created, in order.
    :param left: its Jobs that are there now, after the sweep.
    :param swept: the names of those that the sweep deleted.
    :param state: its state in the end; None: it is gone.
    :param told: the flow run id that it gave to XCom; None: none.
    :param was_given_up: whether Airflow told one of its workers that it is not wanted any more, as
        to one that was too slow.
    :param kills: everything that was killed, of whomever.
    """

    subject: Subject
    lines: list[Line] = field(default_factory=list)
    jobs: list[JobCreated] = field(default_factory=list)
    left: list[dict[str, Any]] = field(default_factory=list)
    swept: list[str] = field(default_factory=list)
    state: str | None = None
    told: str | None = None
    was_given_up: bool = False
    kills: Sequence[Killed] = ()

    def violations(self) -> list[str]:
        """Say what breaks a promise."""
        checks = (
            self._ran_twice,
            self._ran_at_once,
            self._has_too_many_jobs,
            self._did_not_run,
            self._did_not_run_anew,
            self._has_another_state,
            self._has_another_result,
            self._left_jobs,
            self._lost_jobs,
            self._was_swept_in_vain,
        )
        return [text for check in checks for text in check()]

    def excuses(self) -> list[str]:
        """Say where a kill is why a user's deed did not have the effect that it has otherwise."""
        return [
            f"{deed.what} at a task that was {deed.state}, beside {'a kill' if kill else 'its end'}"
            for deed in self.subject.deeds[-1:]
            if deed.what == "clear"
            and ((kill := self._kill_near(deed)) or self._end_near(deed))
            and not self._ran_after(deed)
        ]

    # --- the checks -------------------------------------------------------------------------

    def _ran_twice(self) -> Iterator[str]:
        begins = Counter((one.flow_run_id, one.pod) for one in self.lines if one.word == "begins")
        for (flow_run_id, pod), times in begins.items():
            if times > 1:
                yield f"the flow run {flow_run_id} ran {times} times (pod {pod})"
        jobs = Counter(_flow_run_id(job) for job in self.jobs)
        for one in {one.flow_run_id for one in self.lines} | set(jobs):
            if jobs[one] != 1:
                yield f"the flow run {one} has had {jobs[one]} Jobs"

    def _ran_at_once(self) -> Iterator[str]:
        order = [self.lines[0].flow_run_id] if self.lines else []
        for before, now in pairwise(one.flow_run_id for one in self.lines):
            if now != before:
                if now in order:
                    yield f"the flow runs {now} and {before} ran at the same time"
                order.append(now)

    def _has_too_many_jobs(self) -> Iterator[str]:
        """A second Job needs a reason: the first failed, or a user wanted the flow to run anew."""
        for first, second in pairwise(self.jobs):
            if not self._has_failed(first) and not any(
                first.at - _LATE_CREATION < deed.ended and deed.begun < second.at
                for deed in self._deeds(_BEGINS_ANEW)
            ):
                yield f"the Job {second.name} came after {first.name} for no reason"
        reasons = 1 + len(self._deeds(_BEGINS_ANEW)) + sum(map(self._has_failed, self.jobs))
        if len(self.jobs) > reasons:
            yield f"there were {len(self.jobs)} Jobs, and reasons for {reasons}"

    def _did_not_run(self) -> Iterator[str]:
        """A Job runs its flow to the end, unless a user ended it."""
        for job in self.jobs:
            was_ended = any(job.at - _LATE_CREATION < deed.ended for deed in self.subject.deeds)
            if self._has_run(job) or was_ended:
                continue
            if self.subject.kind.has_enough_retries or job is not self.jobs[-1]:
                yield f"the flow of the Job {job.name} did not run to its end, and nobody ended it"
        if not self.jobs and not self.subject.deeds:
            yield "there was no Job"

    def _did_not_run_anew(self) -> Iterator[str]:
        """A task that was cleared, or whose run was created again, runs its flow again.

        Not one that was cleared while its worker was dead and not yet missed: that is lost. To
        Airflow that is also one whose worker has just ended, of which it has not heard yet.
        """
        for deed in self.subject.deeds[-1:]:
            if deed.what in _BEGINS_ANEW and not self._ran_after(deed):
                if deed.what == "clear" and (self._kill_near(deed) or self._end_near(deed)):
                    continue
                yield f"no flow ran to its end after: {deed.what}"

    def _has_another_state(self) -> Iterator[str]:
        last = self.subject.deeds[-1] if self.subject.deeds else None
        expected: set[str | None] = {self.subject.kind.state}
        if self.subject.is_deleted:
            expected = {None}
        elif last is not None and last.what in _MARKED:
            expected = {*_MARKED[last.what]}
        if self.state not in expected:
            told = " or ".join(str(state) for state in expected)
            yield f"the task is {self.state}, and should be {told}"

    def _has_another_result(self) -> Iterator[str]:
        """A task that succeeded tells in XCom which flow run did."""
        if self.state == "success" and not self.subject.deeds:
            done = [_flow_run_id(job) for job in self.jobs if self._has_run(job)]
            if done[-1:] != [self.told]:
                yield f"XCom has the flow run {self.told}, and the last that ran is {done[-1:]}"

    def _left_jobs(self) -> Iterator[str]:
        for job in self.left:
            name, end = job["metadata"]["name"], _end_of(job)
            if end is None:
                yield f"the Job {name} is still active"
            elif not self.subject.kind.keeps_job(succeeded=end == "Complete"):
                yield f"the Job {name} is left, {end}, although on_finish says otherwise"

    def _lost_jobs(self) -> Iterator[str]:
        """What `on_finish` keeps is there."""
        names = {job["metadata"]["name"] for job in self.left}
        for job in self.jobs if not self.subject.deeds else ():
            keeps = self.subject.kind.keeps_job(succeeded=not self._has_failed(job))
            if keeps and self._has_run(job) and job.name not in names:
                yield f"the Job {job.name} is gone, although on_finish says otherwise"

    def _was_swept_in_vain(self) -> Iterator[str]:
        """The sweep is for what nobody was there to delete.

        A deferred task that is ended just before its trigger starts is such, by itself.
        """
        for name in self.swept:
            lost = any(map(self._kill_near, self.subject.deeds))
            used_up = not self.subject.kind.has_enough_retries
            was_over = any(job.name == name and self._has_run(job) for job in self.jobs)
            told_nobody = self.subject.deeds and self.subject.deferrable
            if not (lost or used_up or (was_over and self._was_hit()) or told_nobody):
                yield f"the sweep had to delete the Job {name}, although nothing was killed"

    # --- what they ask ----------------------------------------------------------------------

    def _deeds(self, whats: set[str]) -> list[Deed]:
        return [deed for deed in self.subject.deeds if deed.what in whats]

    def _ends(self, job: JobCreated) -> list[int | None]:
        flow_run_id = _flow_run_id(job)
        return [x.code for x in self.lines if x.flow_run_id == flow_run_id and x.word == "ends"]

    def _has_run(self, job: JobCreated) -> bool:
        """Whether the flow came to its end, in each pod."""
        return len(self._ends(job)) == self.subject.kind.pods

    def _has_failed(self, job: JobCreated) -> bool:
        return any(self._ends(job))

    def _ran_after(self, deed: Deed) -> bool:
        return any(job.at > deed.begun and self._has_run(job) for job in self.jobs)

    def _kill_near(self, deed: Deed) -> bool:
        """Whether something was killed that has a part in what becomes of a deed."""
        return any(
            kill.begun - _AFTER < deed.ended and deed.begun < (kill.ended or kill.begun) + _BEFORE
            for kill in self._hits()
        )

    def _end_near(self, deed: Deed) -> bool:
        """Whether the flow had just ended, of which Airflow did not know yet."""
        ends = (
            datetime.fromisoformat(condition["lastTransitionTime"]).timestamp()
            for job in self.left
            for condition in job.get("status", {}).get("conditions") or []
            if "lastTransitionTime" in condition
        )
        return deed.state == "running" and any(0 <= deed.begun - end < _HEARD for end in ends)

    def _was_hit(self) -> bool:
        """Whether a worker may have died while there was a Job."""
        return self.was_given_up or any(
            kill.begun > self.jobs[0].at - _BEFORE for kill in self._hits()
        )

    def _hits(self) -> list[Killed]:
        """What was killed that this task instance has a part in."""
        name = self.subject.name
        return [kill for kill in self.kills if kill.what in _OF_ALL or kill.name == name]


def _flow_run_id(job: JobCreated) -> str:
    return job.labels.get(FLOW_RUN_ID_LABEL, "")


def _end_of(job: dict[str, Any]) -> str | None:
    """Return "Complete" or "Failed", None: the Job is active."""
    for condition in job.get("status", {}).get("conditions") or []:
        if condition["type"] in ("Complete", "Failed") and condition["status"] == "True":
            return str(condition["type"])
    return None
