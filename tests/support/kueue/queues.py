"""Queues of a test's own, made of those that the docs show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from kubernetes import client, config

from flowjob.status.job import true_condition
from tests.support.kueue.program import Object
from tests.support.wait import wait_for

EXAMPLES = Path(__file__).parents[3] / "docs" / "examples"

_GROUP = "kueue.x-k8s.io"
_VERSION = "v1beta2"
_PLURALS = {
    "ResourceFlavor": "resourceflavors",
    "ClusterQueue": "clusterqueues",
    "LocalQueue": "localqueues",
    "WorkloadPriorityClass": "workloadpriorityclasses",
}


class Queues:
    """The docs' queues in a namespace, with the same quota: one core.

    :param kubeconfig: of the cluster's administrator.
    :param namespace: where the LocalQueue `nightly` is to be; the ClusterQueue has its name.
    """

    def __init__(self, kubeconfig: Path, namespace: str) -> None:
        self._api: Any = client.CustomObjectsApi(config.new_client_from_config(str(kubeconfig)))
        self._namespace = namespace

    def create(self) -> None:
        """Make them, and wait until Kueue has them."""
        for each in yaml.safe_load_all((EXAMPLES / "queues.yaml").read_text()):
            plural, metadata = _PLURALS[each["kind"]], each["metadata"]
            if each["kind"] == "ClusterQueue":
                metadata["name"] = self._namespace
            if each["kind"] != "LocalQueue":
                self._create(plural, each)
                continue
            metadata["namespace"] = self._namespace
            each["spec"]["clusterQueue"] = self._namespace
            self._api.create_namespaced_custom_object(
                _GROUP, _VERSION, self._namespace, plural, each
            )
        wait_for(self._is_active, f"the queue of {self._namespace} to be active")

    def workloads(self) -> list[Object]:
        """Return all the Workloads of the namespace."""
        found = self._api.list_namespaced_custom_object(
            _GROUP, _VERSION, self._namespace, "workloads"
        )
        items: list[Object] = found["items"]
        return items

    def stop(self, policy: str) -> None:
        """Have the ClusterQueue hold its Jobs (`Hold`), or let them go (`None`)."""
        self._api.patch_cluster_custom_object(
            _GROUP,
            _VERSION,
            "clusterqueues",
            self._namespace,
            {"spec": {"stopPolicy": policy}},
        )

    def _create(self, plural: str, item: Object) -> None:
        try:
            self._api.create_cluster_custom_object(_GROUP, _VERSION, plural, item)
        except client.ApiException as error:
            # What all tests have in common.
            if error.status != 409:
                raise

    def _is_active(self) -> bool:
        queue = self._api.get_namespaced_custom_object(
            _GROUP, _VERSION, self._namespace, "localqueues", "nightly"
        )
        return true_condition(queue, "Active") is not None


def queued_spec(*, queue: str = "nightly", priority: str = "routine", cpu: str = "1") -> str:
    """Return the docs' Job spec for a queue.

    :param queue: the LocalQueue's name.
    :param priority: that of a WorkloadPriorityClass.
    :param cpu: of how many cores it asks for.
    """
    spec = yaml.safe_load((EXAMPLES / "queued_job_spec.yaml").read_text())
    spec["metadata"]["labels"] |= {
        f"{_GROUP}/queue-name": queue,
        f"{_GROUP}/priority-class": priority,
    }
    pod = spec["spec"]["template"]["spec"]
    pod["containers"][0]["resources"]["requests"]["cpu"] = cpu
    # A shell ends when it is killed only.
    pod["terminationGracePeriodSeconds"] = 3
    return yaml.safe_dump(spec)
