"""Kubernetes' objects as the plain dicts that they stay all the way, and which container is whose.

Pure: no Airflow, no Kubernetes client.
"""

from __future__ import annotations

from typing import Any

KubernetesObject = dict[str, Any]


def flow_container(pod_spec: KubernetesObject) -> KubernetesObject:
    """Return the container that runs the flow: the first one.

    The contract is the reference's section "Job Spec Configuration".

    :param pod_spec: the spec of a pod, or of a Job's pod template.
    """
    container: KubernetesObject = pod_spec["containers"][0]
    return container


def all_containers(pod_spec: KubernetesObject) -> list[KubernetesObject]:
    """Return the init containers, then the containers.

    :param pod_spec: the spec of a pod, or of a Job's pod template.
    """
    return [*(pod_spec.get("initContainers") or []), *pod_spec["containers"]]
