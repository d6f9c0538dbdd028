"""What is kept in memory of a Job or a pod: a triggerer may have to remember thousands of them.

Pure: no Airflow, no Kubernetes client.
"""

from __future__ import annotations

from collections.abc import Collection

from flowjob.kubernetes_object import KubernetesObject, flow_container_of, job_of_flow_container

_METADATA = (
    "name",
    "namespace",
    "uid",
    "resourceVersion",
    "labels",
    "creationTimestamp",
    "deletionTimestamp",
)
_JOB_SPEC = (
    "backoffLimit",
    "completionMode",
    "completions",
    "managedBy",
    "parallelism",
    "successPolicy",
    "ttlSecondsAfterFinished",
)
_JOB_STATUS = ("conditions", "failed", "failedIndexes", "ready", "startTime", "succeeded")
_POD_SPEC = ("nodeName", "restartPolicy")
_POD_STATUS = ("message", "phase", "reason")
_POD_CONDITIONS = ("DisruptionTarget", "PodScheduled")
_CONTAINER = (
    "name",
    "resources",
    "restartPolicy",
    "restartPolicyRules",
    "terminationMessagePolicy",
)
_CONTAINER_STATUS = ("lastState", "name", "restartCount", "state")


def trimmed(item: KubernetesObject) -> KubernetesObject:
    """Return what outcomes and logs are made of.

    :param item: a Job or a pod, as the API server has it.
    """
    metadata, spec, status = item["metadata"], item["spec"], item.get("status") or {}
    kept: KubernetesObject = {"metadata": _only(_METADATA, metadata)}
    if "containers" not in spec:
        kept |= job_of_flow_container(flow_container_of(item))
        kept["spec"] = kept.get("spec", {}) | _only(_JOB_SPEC, spec)
        return {**kept, "status": _only(_JOB_STATUS, status)}
    owners = metadata.get("ownerReferences") or []
    kept["metadata"]["ownerReferences"] = _each(("controller", "uid"), owners)
    kept["spec"] = _only(_POD_SPEC, spec)
    kept["status"] = _only(_POD_STATUS, status)
    conditions = status.get("conditions") or []
    kept["status"]["conditions"] = [c for c in conditions if c["type"] in _POD_CONDITIONS]
    for name in ("initContainers", "containers"):
        kept["spec"][name] = _each(_CONTAINER, spec.get(name) or [])
    for name in ("initContainerStatuses", "containerStatuses"):
        kept["status"][name] = _each(_CONTAINER_STATUS, status.get(name) or [])
    return kept


def _only(names: Collection[str], item: KubernetesObject) -> KubernetesObject:
    return {name: item[name] for name in names if name in item}


def _each(names: Collection[str], items: list[KubernetesObject]) -> list[KubernetesObject]:
    return [_only(names, item) for item in items]
