"""Whether the promises held: from the audit log, the flows' lines, and what is left."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from kubernetes import client, config

from flowjob.flow_run import FLOW_RUN_ID_LABEL, IDENTIFIER_LABEL, is_named_after_its_flow_run
from tests.soak.kinds import TASK_ID
from tests.soak.record import Deed, Record, Subject
from tests.soak.story import Line, Story
from tests.support.airflow.client import FINISHED_STATES, AirflowNotFoundError
from tests.support.airflow.instance import AirflowInstance
from tests.support.airflow.sweeping import sweep
from tests.support.audit import AuditLog, JobCreated
from tests.support.node.node import Node
from tests.support.wait import wait_for

# Seconds: for all runs to end, whose parts were only just started again; for Jobs to go whose tasks
# were ended; and for what the sweep deletes.
_END, _GOING, _SWEPT = 300.0, 60.0, 60.0
_ENDED = {"success", "failed", "skipped"}
# Of a task instance that waits for being scheduled.
_NO_STATE = "no state"
# What Airflow says in the log of a worker that it has given up.
_GIVEN_UP = "Server indicated the task shouldn't be running anymore"


class Verdict:
    """Waits until all has come to its end, and judges it.

    :param folder: where the flows leave their lines.
    """

    def __init__(
        self, node: Node, airflow: AirflowInstance, record: Record, folder: Path, namespace: str
    ) -> None:
        self._airflow, self._record = airflow, record
        self._lines_file, self._namespace = folder / "lines", namespace
        self._audit = AuditLog(node.audit_log)
        self._api = config.new_client_from_config(str(node.kubeconfig))

    def give(self) -> int:
        """Print the verdict; return the exit code."""
        record = self._record
        violations = [f"the run {name} does not end" for name in self._wait_for_ends()]
        record.say("all runs have ended" if not violations else "not all runs have ended")
        self._wait_for_jobs(_GOING)
        swept, log = sweep(self._airflow.client)
        self._wait_for_jobs(_SWEPT)
        for line in log.splitlines():
            if "Deleted the Job" in line:
                record.say(f"sweep: {line}")
        stories = self._stories(swept)
        for story in stories:
            for text in story.excuses():
                record.counts["cleared beside a kill: was lost"] += 1
                record.say(f"{story.subject.name}: {text}")
            if broken := story.violations():
                violations += [f"{story.subject.name}: {text}" for text in broken]
                self._show(story)
        violations += self._strangers(stories)
        self._summarize(stories, swept)
        for text in violations:
            print(f"VIOLATION: {text}")
        print("All promises held." if not violations else f"{len(violations)} violations.")
        return 1 if violations else 0

    # --- waiting ----------------------------------------------------------------------------

    def _wait_for_ends(self) -> list[str]:
        """Return the names of those that do not end."""
        goes_on = list(self._record.subjects)

        def all_have_ended() -> bool:
            goes_on[:] = [one for one in goes_on if not self._has_ended(one)]
            return not goes_on

        try:
            self._airflow.client.wait_for(all_have_ended, "all runs to end", _END)
        except Exception as error:
            print(error)
        return [subject.name for subject in goes_on]

    def _has_ended(self, subject: Subject) -> bool:
        try:
            run = self._airflow.client.dag_run(subject.dag_id, subject.run_id)
        except AirflowNotFoundError:
            return True
        if run["state"] not in FINISHED_STATES:
            return False
        state = self._state(subject)
        was_cleared = any(deed.what in ("clear", "clear ended") for deed in subject.deeds[-1:])
        if state == _NO_STATE and was_cleared:
            self._clear_again(subject)
        return state in _ENDED

    def _clear_again(self, subject: Subject) -> None:
        """Do what a user does who sees a task without a state in a run that has ended.

        Airflow lets its scheduler end a run whose last task is being cleared.
        """
        begun = time.time()
        self._airflow.client.clear(subject.dag_id, subject.run_id, [TASK_ID])
        subject.deeds.append(Deed("clear ended", _NO_STATE, begun, time.time()))
        self._record.counts["cleared again, as Airflow had ended the run"] += 1
        self._record.say(f"cleared again: {subject.name}, as Airflow had ended its run")

    def _wait_for_jobs(self, seconds: float) -> None:
        """Wait until no Job is active, for a while: what is left is judged later."""
        try:
            wait_for(lambda: not self._active(), "all Jobs to end", seconds, 1)
        except TimeoutError:
            self._record.say(f"still active: {self._active()}")

    def _active(self) -> list[str]:
        return [
            job["metadata"]["name"]
            for job in self._jobs()
            if not any(x["status"] == "True" for x in job["status"].get("conditions") or [])
        ]

    def _jobs(self) -> list[dict[str, Any]]:
        found = client.BatchV1Api(self._api).list_namespaced_job(self._namespace)
        items: list[dict[str, Any]] = self._api.sanitize_for_serialization(found)["items"]
        return items

    # --- what is known ----------------------------------------------------------------------

    def _stories(self, swept: list[str]) -> list[Story]:
        lines, left, jobs = self._lines(), self._jobs(), self._created()
        stories = []
        for subject in self._record.subjects:
            identifier = subject.key.identifier
            own = [job for job in jobs if job.labels.get(IDENTIFIER_LABEL) == identifier]
            stories.append(
                Story(
                    subject,
                    lines[subject.name],
                    own,
                    [
                        job
                        for job in left
                        if job["metadata"]["labels"].get(IDENTIFIER_LABEL) == identifier
                    ],
                    [job.name for job in own if f"{self._namespace}/{job.name}" in swept],
                    self._state(subject),
                    self._told(subject),
                    any(_GIVEN_UP in path.read_text() for path in self._logs(subject)),
                    self._record.kills,
                )
            )
        return stories

    def _lines(self) -> dict[str, list[Line]]:
        lines: dict[str, list[Line]] = defaultdict(list)
        for text in self._lines_file.read_text().splitlines():
            name, flow_run_id, pod, word, *code = text.split()
            lines[name].append(Line(flow_run_id, pod, word, int(code[0]) if code else None))
        return lines

    def _created(self) -> list[JobCreated]:
        """Return all Jobs; the lines tell whose those are that only have a name."""
        identifiers = {subject.name: subject.key.identifier for subject in self._record.subjects}
        whose = [
            {FLOW_RUN_ID_LABEL: flow_run_id, IDENTIFIER_LABEL: identifiers[name]}
            for name, lines in self._lines().items()
            for flow_run_id in {line.flow_run_id for line in lines}
        ]

        def known(job: JobCreated) -> JobCreated:
            for labels in whose if not job.labels else ():
                if is_named_after_its_flow_run({"metadata": {"name": job.name, "labels": labels}}):
                    return replace(job, labels=labels)
            return job

        return [known(job) for job in self._audit.all_jobs_created()]

    def _state(self, subject: Subject) -> str | None:
        try:
            task = self._airflow.client.task_instance(subject.dag_id, subject.run_id, TASK_ID)
        except AirflowNotFoundError:
            return None
        return task["state"] or _NO_STATE

    def _told(self, subject: Subject) -> str | None:
        try:
            path = f"dags/{subject.dag_id}/dagRuns/{subject.run_id}/taskInstances/{TASK_ID}"
            entry = self._airflow.client.request("GET", f"{path}/xcomEntries/flow_run_id")
        except AirflowNotFoundError:
            return None
        return str(entry["value"])

    def _strangers(self, stories: list[Story]) -> Iterator[str]:
        known = {job.name for story in stories for job in story.jobs}
        for job in self._audit.all_jobs_created():
            if job.name not in known and job.labels:
                yield f"the Job {job.name} is nobody's: {job.labels}"
        for pod in client.CoreV1Api(self._api).list_namespaced_pod(self._namespace).items:
            if pod.status.phase in ("Pending", "Running"):
                yield f"the pod {pod.metadata.name} still runs"

    # --- what is shown ----------------------------------------------------------------------

    def _show(self, story: Story) -> None:
        """Print all that tells why a promise did not hold."""
        subject = story.subject
        print(f"\n== {subject.name}, {subject.key.identifier}: {story.state}")
        for deed in subject.deeds:
            print(f"{_clock(deed.begun)} to {_clock(deed.ended)}: {deed.what} (was {deed.state})")
        names = {job.name for job in story.jobs}
        for job in story.jobs:
            print(f"{_clock(job.at)}: the Job {job.name} {job.labels}")
        counted = Counter((line.flow_run_id, line.pod, line.word) for line in story.lines)
        for (flow_run_id, pod, word), count in counted.items():
            print(f"lines of {flow_run_id}, pod {pod}: {word} {count} times")
        for request in self._audit.requests(resource="jobs"):
            if request.name in names:
                print(
                    f"{_clock(request.at)}: {request.verb} {request.name} {request.subresource} "
                    f"{request.code} {request.user_agent.split()[0]}"
                )
        for path in sorted(self._logs(subject)):
            print(f"-- {path.name}\n{path.read_text()}")

    def _logs(self, subject: Subject) -> Iterator[Path]:
        """Yield the task's logs, which outlive its run."""
        folder = self._airflow.home / "logs"
        yield from folder.glob(f"dag_id={subject.dag_id}/run_id={subject.run_id}/*/*.log*")

    def _summarize(self, stories: list[Story], swept: list[str]) -> None:
        runs = {line.flow_run_id for story in stories for line in story.lines}
        counts = {
            "task instances": len(stories),
            "  of which no user touched": sum(not story.subject.deeds for story in stories),
            "flow runs": len(runs),
            "Jobs created": sum(len(story.jobs) for story in stories),
            "Jobs left by on_finish": sum(len(story.left) for story in stories),
            "Jobs swept": len(swept),
            **dict(sorted(self._record.counts.items())),
        }
        print(f"\nAfter {self._record.elapsed:.0f} s:")
        for name, count in counts.items():
            print(f"{count:6}  {name}")


def _clock(at: float) -> str:
    return f"{time.strftime('%H:%M:%S', time.localtime(at))}.{int(at % 1 * 1000):03}"
