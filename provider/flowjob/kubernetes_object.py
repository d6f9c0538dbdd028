"""Kubernetes' objects as the plain dicts that they stay all the way, and which container is whose.

Pure: no Airflow, no Kubernetes client.
"""

from __future__ import annotations

from typing import Any

KubernetesObject = dict[str, Any]
# What a request may have: an object, or the operations of a JSON patch (RFC 6902).
Body = KubernetesObject | list[KubernetesObject]

# Bytes that the kubelet keeps of a termination message, and of those of all containers of a pod.
_LONGEST_MESSAGE = 4096
_LONGEST_MESSAGES_OF_POD = 12288


def flow_container(pod_spec: KubernetesObject) -> KubernetesObject:
    """Return the container that runs the flow: the first one.

    The contract is the reference's section "Job Spec Configuration".

    :param pod_spec: the spec of a pod, or of a Job's pod template.
    """
    container: KubernetesObject = pod_spec["containers"][0]
    return container


def flow_container_of(job: KubernetesObject) -> str | None:
    """Return the name of the container that runs a Job's flow; None: too little of it is known."""
    pod_spec = ((job.get("spec") or {}).get("template") or {}).get("spec") or {}
    return flow_container(pod_spec)["name"] if pod_spec.get("containers") else None


def job_of_flow_container(name: str | None) -> KubernetesObject:
    """Return as much of a Job as ``flow_container_of`` needs; None: nothing."""
    if name is None:
        return {}
    return {"spec": {"template": {"spec": {"containers": [{"name": name}]}}}}


def with_flow_container_first(pod: KubernetesObject, job: KubernetesObject) -> KubernetesObject:
    """Return a pod with the container first that runs the flow, as its Job has it.

    What injects containers into pods, such as a service mesh, may have put its own before it.
    """
    name, containers = flow_container_of(job), pod["spec"]["containers"]
    if name is None or containers[0]["name"] == name:
        return pod
    ordered = sorted(containers, key=lambda container: container["name"] != name)
    return {**pod, "spec": {**pod["spec"], "containers": ordered}}


def owner_reference(job: KubernetesObject) -> KubernetesObject:
    """Return what has Kubernetes delete an object once its Job is gone."""
    metadata = job["metadata"]
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "name": metadata["name"],
        "uid": metadata["uid"],
    }


def termination_message_limit(pod_spec: KubernetesObject) -> int:
    """Return how many bytes of a container's termination message the kubelet keeps: the last ones.

    :param pod_spec: the spec of a pod, or of a Job's pod template.
    """
    return min(_LONGEST_MESSAGE, _LONGEST_MESSAGES_OF_POD // len(all_containers(pod_spec)))


def all_containers(pod_spec: KubernetesObject) -> list[KubernetesObject]:
    """Return the init containers, then the containers.

    :param pod_spec: the spec of a pod, or of a Job's pod template.
    """
    return [*(pod_spec.get("initContainers") or []), *pod_spec["containers"]]
