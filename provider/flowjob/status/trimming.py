"""What is kept in memory of a Job or a pod: a triggerer may have to remember thousands of them.

Pure: no Airflow, no Kubernetes client.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from functools import lru_cache
from typing import Any

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
    "image",
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
    kept["metadata"]["ownerReferences"] = _shared(_each(("controller", "uid"), owners))
    containers = {
        name: _each(_CONTAINER, spec[name])
        for name in ("initContainers", "containers")
        if spec.get(name)
    }
    kept["spec"] = _shared(_only(_POD_SPEC, spec) | containers)
    kept["status"] = _only(_POD_STATUS, status)
    conditions = status.get("conditions") or []
    if conditions := [c for c in conditions if c["type"] in _POD_CONDITIONS]:
        kept["status"]["conditions"] = conditions
    for name in ("initContainerStatuses", "containerStatuses"):
        if status.get(name):
            kept["status"][name] = _each(_CONTAINER_STATUS, status[name])
    return kept


def _only(names: Collection[str], item: KubernetesObject) -> KubernetesObject:
    return {name: item[name] for name in names if name in item}


def _each(names: Collection[str], items: list[KubernetesObject]) -> list[KubernetesObject]:
    return [_only(names, item) for item in items]


def _shared(value: Any) -> Any:
    """Return one object for all that are equal, as the pods of a Job are in most.

    What is kept costs the garbage collector time, in which all who wait are held up.
    """
    return _loaded(json.dumps(value))


@lru_cache(1024)
def _loaded(text: str) -> Any:
    return json.loads(text)
