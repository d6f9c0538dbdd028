"""What a Job's status says of itself.

Pure: no Airflow, no Kubernetes client.
"""

from __future__ import annotations

from flowjob.kubernetes_object import KubernetesObject


def true_condition(job: KubernetesObject, kind: str) -> KubernetesObject | None:
    """Return the condition of this type if it holds: one whose status is "False" does not."""
    conditions = (job.get("status") or {}).get("conditions") or []
    return next((c for c in conditions if c["type"] == kind and c["status"] == "True"), None)


def is_active(job: KubernetesObject) -> bool:
    """Tell whether the Job is not over: neither Complete nor Failed."""
    return not any(true_condition(job, kind) for kind in ("Complete", "Failed"))


def is_being_deleted(item: KubernetesObject) -> bool:
    """Tell whether a Job or a pod was deleted, and what it has still to end is what keeps it."""
    return "deletionTimestamp" in item["metadata"]


def is_new(job: KubernetesObject) -> bool:
    """Tell whether a Job is as it was answered when it was created: nothing came of it yet."""
    is_whole = "resourceVersion" in job["metadata"]
    return is_whole and not job.get("status") and not is_being_deleted(job)


def has_many_pods(job: KubernetesObject) -> bool:
    """Tell whether a Job has several pods by design, not one after another has failed."""
    spec = job.get("spec") or {}
    return any((spec.get(field) or 1) != 1 for field in ("parallelism", "completions"))
