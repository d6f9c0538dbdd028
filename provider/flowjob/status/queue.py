"""What a Job waits for in a queue of Kueue's: (queue, Workload) -> ``Place``.

A Workload is what Kueue knows a Job by: https://kueue.sigs.k8s.io/docs/concepts/workload.
Pure: no Airflow, no Kubernetes client, no clock.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from flowjob.flow_run import label
from flowjob.kubernetes_object import KubernetesObject
from flowjob.status.diagnosis import Diagnosis
from flowjob.status.job import true_condition
from flowjob.text import one_line

#: The label of a Workload that has the uid of its Job.
JOB_UID_LABEL = "kueue.x-k8s.io/job-uid"
_QUEUE_LABEL = "kueue.x-k8s.io/queue-name"

# Kueue's words for what does not pass by itself, and what helps. A queue that somebody has stopped
# ("is stopped", "is inactive") holds its Jobs back on purpose, as whoever deactivates a Workload.
_FINAL_WORDS = (
    (
        r"LocalQueue \S+ (doesn't exist|is terminating or missing)",
        f"create the LocalQueue, or correct the Job's label {_QUEUE_LABEL}",
    ),
    (
        r"ClusterQueue \S+ (doesn't exist|not found|is terminating or missing)",
        "create the ClusterQueue that the LocalQueue names",
    ),
    (
        r"doesn't match ClusterQueue selector",
        "have the ClusterQueue's namespaceSelector take the namespace",
    ),
    (r"resource \S+ unavailable in ClusterQueue", "give the ClusterQueue a quota of it"),
    (
        r"resources validation failed|satisfy LimitRange",
        "correct the pod's resources.requests and limits",
    ),
    (r"The workload is deactivated due to ", None),
)
# So much is wanted of a flavor that its whole quota is too little.
_NEVER_FITS = re.compile(r"insufficient quota for \S+ in flavor (\S+), .*?> maximum capacity")
# It fits once others have ended.
_FITS_LATER = re.compile(r"insufficient unused quota for \S+ in flavor (\S+),")
_LESS = "lower the pod's resources.requests, or raise the ClusterQueue's quota"
_PENDING = "Pending"
_INADMISSIBLE = "Inadmissible"
_DEACTIVATED = {"reason": "Deactivated", "message": "The workload is deactivated"}
_NO_WORKLOAD = "Kueue knows nothing of it yet"


@dataclass(frozen=True)
class Place:
    """What keeps a Job in its queue.

    :param message: Kueue's own sentence.
    :param final: what to say of the flow run where it does not pass by itself; None: it may.
    """

    message: str
    final: Diagnosis | None = None


def queue_of(job: KubernetesObject) -> str | None:
    """Return the LocalQueue that a Job names, None where it names none."""
    return label(job, _QUEUE_LABEL)


def place_of(queue: str, workloads: Iterable[KubernetesObject]) -> Place:
    """Say what keeps a Job in its queue.

    :param queue: the Job's queue.
    :param workloads: those of the Job: one, or where Kueue has replaced it the older ones, too.
    """
    workload = max(workloads, key=_created_at, default=None)
    if workload is None:
        return Place(_NO_WORKLOAD)
    reason, message = _told(workload)
    final, remedy = _what_stays(message)
    if final:
        told = f"not admitted in queue {queue}: {message}"
        # Kueue says so of some, and of others that they are pending, as of all that waits.
        reason = _INADMISSIBLE if reason == _PENDING else reason
        return Place(message, Diagnosis(reason, told, remedy))
    evicted = true_condition(workload, "Evicted")
    why = "" if evicted is None else _words(evicted)[1]
    return Place(message if why in ("", message) else f"{message}; it was evicted: {why}")


def _created_at(workload: KubernetesObject) -> str:
    return str(workload["metadata"].get("creationTimestamp") or "")


def _told(workload: KubernetesObject) -> tuple[str, str]:
    """Return Kueue's word, and its sentence, for what a Workload waits for."""
    evicted = true_condition(workload, "Evicted")
    if (workload.get("spec") or {}).get("active") is False:
        return _words(evicted or _DEACTIVATED)
    conditions = (workload.get("status") or {}).get("conditions") or []
    reserved = next((each for each in conditions if each["type"] == "QuotaReserved"), None)
    if reserved is None:
        return _PENDING, _NO_WORKLOAD
    if reserved["status"] != "True":
        return _words(reserved)
    # What it has to leave is still reserved for it while its pods end.
    return _open_check(workload) if evicted is None else _words(evicted)


def _open_check(workload: KubernetesObject) -> tuple[str, str]:
    """Return what a Workload waits for that has its quota."""
    for check in workload["status"].get("admissionChecks") or []:
        if (state := check.get("state") or _PENDING) != "Ready":
            says = one_line(check.get("message") or "") or state
            return state, f"its quota is reserved, the admission check {check['name']} says: {says}"
    return "Admitted", "it is about to be released"


def _words(condition: KubernetesObject) -> tuple[str, str]:
    reason = condition.get("reason") or _PENDING
    return reason, one_line(condition.get("message") or "") or reason


def _what_stays(message: str) -> tuple[bool, str | None]:
    """Tell whether what keeps a Job in its queue does not pass by itself, and what helps."""
    for words, remedy in _FINAL_WORDS:
        if re.search(words, message):
            return True, remedy
    never = set(_NEVER_FITS.findall(message))
    return (
        (True, _LESS) if never and not set(_FITS_LATER.findall(message)) - never else (False, None)
    )
