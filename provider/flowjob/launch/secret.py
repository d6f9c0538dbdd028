"""The Secret of a flow run: it holds the secret values that its flow container takes.

It has the Job's name, which is of one flow run alone: no other try and no other Airflow has one of
that name. Pure: no Airflow, no Kubernetes client.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from flowjob.flow_run import FlowRun
from flowjob.flows.base import secret_key
from flowjob.kubernetes_object import KubernetesObject, flow_container, owner_reference


def references(names: Iterable[str], job_name: str) -> dict[str, Any]:
    """Return what the flow container has in place of secret values.

    :param names: the variables.
    :param job_name: name of the Job, and so of the Secret.
    :returns: by name, what Kubernetes has below ``valueFrom``.
    """
    return {name: secret_key(job_name, name) for name in names}


def make_secret(
    flow_run: FlowRun, job: KubernetesObject, values: Mapping[str, str]
) -> KubernetesObject | None:
    """Make the Secret of a Job that is to be created, None where it takes nothing from one.

    It is marked as the Job is, by which the sweep tells whose it is.

    :param flow_run: whose Job it is.
    :param job: the Job; what the spec or the user's ``env`` have in place of a value is left out.
    :param values: the secret values, by the names of their variables.
    """
    taken = {name: values[name] for name in _taken_from_own_secret(job) if name in values}
    if not taken:
        return None
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": job["metadata"]["name"],
            "namespace": job["metadata"]["namespace"],
            "labels": flow_run.labels,
            "annotations": flow_run.annotations,
        },
        "type": "Opaque",
        # So no kubelet has to watch it.
        "immutable": True,
        "stringData": taken,
    }


def takes_from_own_secret(job: KubernetesObject) -> bool:
    """Tell whether a Job's flow container takes values from the Secret of the Job's name."""
    return bool(_taken_from_own_secret(job))


def owned(secret: KubernetesObject, job: KubernetesObject) -> KubernetesObject:
    """Return the Secret as one that goes with its Job."""
    metadata = {**secret["metadata"], "ownerReferences": [owner_reference(job)]}
    return {**secret, "metadata": metadata}


def _taken_from_own_secret(job: KubernetesObject) -> list[str]:
    container, name = flow_container(job["spec"]["template"]["spec"]), job["metadata"]["name"]
    return [
        variable["name"]
        for variable in container.get("env") or []
        if ((variable.get("valueFrom") or {}).get("secretKeyRef") or {}).get("name") == name
    ]
