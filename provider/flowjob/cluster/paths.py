"""The paths of the API server's REST interface that this package asks for.

Pure: no Airflow, no Kubernetes client.
"""

from __future__ import annotations

from flowjob.kubernetes_object import KubernetesObject


def jobs_path(namespace: str | None) -> str:
    """Return the REST path of a namespace's Jobs or, with None, of those of all."""
    return f"/apis/batch/v1/namespaces/{namespace}/jobs" if namespace else "/apis/batch/v1/jobs"


def job_path(namespace: str, name: str) -> str:
    """Return the REST path of a Job."""
    return f"{jobs_path(namespace)}/{name}"


def secrets_path(namespace: str | None) -> str:
    """Return the REST path of a namespace's Secrets or, with None, of those of all."""
    return f"/api/v1/namespaces/{namespace}/secrets" if namespace else "/api/v1/secrets"


def secret_path(namespace: str, name: str) -> str:
    """Return the REST path of a Secret."""
    return f"{secrets_path(namespace)}/{name}"


def pods_path(namespace: str) -> str:
    """Return the REST path of a namespace's pods."""
    return f"/api/v1/namespaces/{namespace}/pods"


def pod_path(pod: KubernetesObject) -> str:
    """Return the REST path of a pod."""
    return f"{pods_path(pod['metadata']['namespace'])}/{pod['metadata']['name']}"


def events_path(namespace: str) -> str:
    """Return the REST path of a namespace's events."""
    return f"/api/v1/namespaces/{namespace}/events"


def workloads_path(namespace: str, version: str) -> str:
    """Return the REST path of Kueue's Workloads in a namespace, by a version of its API."""
    return f"/apis/kueue.x-k8s.io/{version}/namespaces/{namespace}/workloads"
