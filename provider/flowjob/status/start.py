"""What keeps a flow run from starting: (job, pods, events) -> ``Diagnosis``.

Pure: no Airflow, no Kubernetes client, no clock.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from flowjob.kubernetes_object import KubernetesObject
from flowjob.status.diagnosis import (
    COULD_NOT_START,
    Diagnosis,
    container_cause,
    final_after,
    pod_subject_of,
    remedy_of,
    subject_of,
    tell_restarts,
)
from flowjob.status.failure import pod_cause
from flowjob.status.job import true_condition
from flowjob.status.observation import (
    Observation,
    all_container_statuses,
    container_of,
    container_status,
    container_statuses,
    created_at,
    flow_container_status,
    restart_policy,
    termination,
)
from flowjob.text import one_line

# What a container waits for while all is well.
_STARTING = {"ContainerCreating", "PodInitializing"}
# What it waits for where its image does not come.
_NO_IMAGE = {"ErrImagePull", "ImagePullBackOff", "InvalidImageName"}
# How an event begins that says why a Job has no pod, before it says so.
_NO_POD = re.compile(
    r'Error creating: (pods "[^"]*" is forbidden: )?(error looking up service account \S+: )?'
)
# When a pod was created that does not tell, as text: later than any time.
_ALWAYS = "~"


class Start:
    """Whether a flow run has started, and what keeps it from that.

    It is shown what is new, and costs by that: a Job may have thousands of pods.
    """

    def __init__(self) -> None:
        self._job: KubernetesObject = {}
        # When the youngest of the pods was created that run or ran the flow.
        self._started = ""
        # By pod, what keeps it from starting; with when the pod was created.
        self._causes: dict[str, tuple[str, Diagnosis]] = {}
        # By pod, the attempts that were in vain for a cause that may be final.
        self._in_vain: dict[str, int] = {}
        self._hopeless: tuple[str, Diagnosis] | None = None

    def see(self, news: Observation) -> None:
        """Take what is new of the Job and of its pods."""
        self._job = news.job
        for uid, pod in news.pods.items():
            created = created_at(pod) or _ALWAYS
            if _runs_or_ran(flow_container_status(pod) or {}):
                self._started = max(self._started, created)
            self._causes.pop(uid, None)
            if cause := diagnose_pod_start(pod):
                self._causes[uid] = created, cause
                if cause.final_after is not None:
                    self._in_vain[uid] = 1 + _restarts(pod, cause)
                    beside = self._pods_beside if cause.final_after > 1 else 0
                    if sum(self._in_vain.values()) >= cause.final_after + beside:
                        self._hopeless = created, cause

    @property
    def has_started(self) -> bool:
        """Whether the flow container of any pod runs or has run.

        The Job counts its ready pods, also for who may not list them. Where it was suspended and
        released, the pods that it had before do not count.
        """
        status = self._job.get("status") or {}
        is_counted = bool(status.get("ready") or status.get("succeeded"))
        return is_counted or (self._started != "" and self._started >= self._since)

    @property
    def hopeless(self) -> Diagnosis | None:
        """What keeps the flow run from starting however long one waits; None: nothing does."""
        if self.has_started or self._hopeless is None or self._hopeless[0] < self._since:
            return None
        return self._hopeless[1]

    def diagnose(self, events: Sequence[KubernetesObject] = ()) -> Diagnosis | None:
        """Say what keeps the flow container from starting; None: nothing is known of it.

        :param events: the cluster's events about the Job and its pods, as far as they were read.
        """
        youngest = max(self._causes.values(), key=lambda entry: entry[0], default=None)
        if youngest is not None:
            return youngest[1]
        return _last_told(events) or _nothing_will_start(self._job)

    @property
    def _pods_beside(self) -> int:
        """How many pods there may be at once beside one: their attempts are no later ones."""
        return max(int((self._job.get("spec") or {}).get("parallelism") or 1) - 1, 0)

    @property
    def _since(self) -> str:
        return (self._job.get("status") or {}).get("startTime") or ""


def _restarts(pod: KubernetesObject, cause: Diagnosis) -> int:
    status = container_status(pod, cause.container or "") or {}
    return int(status.get("restartCount") or 0)


def _runs_or_ran(status: KubernetesObject) -> bool:
    if "running" in (status.get("state") or {}):
        return True
    # One that ended and is to be restarted waits, and its end is the one before.
    ends = (termination(status), termination(status, "lastState"))
    return any(end is not None and end.get("reason") not in COULD_NOT_START for end in ends)


def is_suspended(observation: Observation) -> bool:
    """Tell whether somebody, such as Kueue, holds the Job back on purpose."""
    return true_condition(observation.job, "Suspended") is not None


def diagnose_pod_start(pod: KubernetesObject) -> Diagnosis | None:
    """Say what keeps a pod from running its flow; None: it shows no cause."""
    return _not_scheduled(pod) or _waits(pod) or pod_cause(pod) or _is_prepared(pod)


def _not_scheduled(pod: KubernetesObject) -> Diagnosis | None:
    conditions = (pod.get("status") or {}).get("conditions") or []
    for condition in conditions:
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            reason = condition.get("reason") or "Unschedulable"
            told = one_line(condition.get("message") or reason)
            message = f"{pod_subject_of(pod)} is not scheduled: {told}"
            return Diagnosis(reason, message, remedy_of(told), pod=pod["metadata"]["name"])
    return None


def _waits(pod: KubernetesObject) -> Diagnosis | None:
    for status in all_container_statuses(pod):
        waiting = (status.get("state") or {}).get("waiting") or {}
        reason = waiting.get("reason") or ""
        if not reason or reason in _STARTING:
            continue
        name = status["name"]
        last = termination(status, "lastState")
        if reason == "CrashLoopBackOff" and last is not None:
            cause = container_cause(pod, name, last)
            message = f"{cause.message}; {tell_restarts(status)}"
            return replace(cause, reason=reason, message=message)
        told = one_line(waiting.get("message") or reason)
        message, facts = _cannot_start(pod, name, reason, told)
        return Diagnosis(
            reason,
            f"{subject_of(pod, name)}{message}",
            remedy_of(told),
            facts,
            pod=pod["metadata"]["name"],
            node=pod["spec"].get("nodeName"),
            container=name,
            final_after=final_after(reason, told),
        )
    return None


def _cannot_start(
    pod: KubernetesObject, name: str, reason: str, told: str
) -> tuple[str, tuple[str, ...]]:
    """Return what a container waits for in vain, and what else there is to know of it.

    Of an image that does not come, Kubernetes says the cause last, after all that was tried.
    """
    if reason not in _NO_IMAGE:
        return f"cannot start: {told}", ()
    image, last = container_of(pod, name).get("image"), told.rpartition(": ")[2]
    return f"cannot pull the image {image!r}: {last}", () if last == told else (told,)


def _is_prepared(pod: KubernetesObject) -> Diagnosis | None:
    """Name the init container that runs, of those that the flow container waits for."""
    for status in container_statuses(pod, init=True):
        name, running = status["name"], (status.get("state") or {}).get("running")
        # A native sidecar goes on beside the flow.
        if running is not None and restart_policy(pod, name) != "Always":
            since = running.get("startedAt") or "a moment ago"
            return Diagnosis(
                "PodInitializing",
                f"{subject_of(pod, name)}has run since {since}",
                pod=pod["metadata"]["name"],
                node=pod["spec"].get("nodeName"),
                container=name,
            )
    return None


def _nothing_will_start(job: KubernetesObject) -> Diagnosis | None:
    spec = job.get("spec") or {}
    if manager := spec.get("managedBy"):
        return Diagnosis("ManagedBy", f"the Job is left to its managedBy, {manager!r}")
    if spec.get("parallelism") == 0:
        return Diagnosis("NoParallelism", "the Job starts no pod: its parallelism is 0")
    return None


def _last_told(events: Sequence[KubernetesObject]) -> Diagnosis | None:
    """Say what the last event tells of that still keeps a pod: a warning or a pull."""
    pulled = max((_time_of(e) for e in events if e.get("reason") == "Pulled"), default="")
    told = [
        event
        for event in events
        if event.get("type") == "Warning"
        or (event.get("reason") == "Pulling" and _time_of(event) > pulled)
    ]
    if not told:
        return None
    last = max(told, key=_time_of)
    about = last.get("involvedObject") or {}
    reason = last.get("reason") or "Warning"
    sentence = one_line(last.get("message") or reason)
    if reason == "Pulling":
        sentence += f" since {_time_of(last)}"
    message = _NO_POD.sub("no pod can be created: ", sentence, count=1)
    pod = about.get("name") if about.get("kind") == "Pod" else None
    return Diagnosis(reason, message, remedy_of(sentence), pod=pod)


def _time_of(event: KubernetesObject) -> str:
    return str(event.get("lastTimestamp") or event.get("eventTime") or event.get("firstTimestamp"))
