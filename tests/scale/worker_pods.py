"""An Airflow whose workers are pods: what they are made from, and how one is found and ended."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import yaml
from kubernetes import client

from tests.scale.worker_image import REPOSITORY, TAG
from tests.support.airflow.instance import AirflowInstance
from tests.support.airflow.world import Run, World
from tests.support.deployed import WORKER
from tests.support.proxy import FaultProxy

# Seconds that a worker pod has to end: a flow that goes on longer is left to the next try.
GRACE = 5
# Within which a busy machine has started the Airflow of a pod.
START = 180
# What the executor marks its pods with.
OF_EXECUTOR = "kubernetes_executor=True"

# What a worker has no use for, and is not to know.
_NOT_FOR_WORKERS = ("AIRFLOW__DATABASE__", "AIRFLOW__API__SECRET_KEY", "AIRFLOW__API_AUTH__")
_FOR_WORKERS = ("AIRFLOW__", "AIRFLOW_CONN_", "AIRFLOW_VAR_", "FLOW_")


def executor_settings(kubeconfig: Path, namespace: str, template: Path) -> dict[str, str]:
    """Return the settings of an Airflow whose executor makes pods from a template."""
    settings = {
        "namespace": namespace,
        "pod_template_file": template,
        "worker_container_repository": REPOSITORY,
        "worker_container_tag": TAG,
        # Not in a pod itself.
        "in_cluster": False,
        "config_file": kubeconfig,
        "worker_pods_creation_batch_size": 8,
    }
    return {"AIRFLOW__CORE__EXECUTOR": "KubernetesExecutor"} | {
        f"AIRFLOW__KUBERNETES_EXECUTOR__{key.upper()}": str(value)
        for key, value in settings.items()
    }


def write_template(
    template: Path, airflow: AirflowInstance, api_server: FaultProxy, folders: Mapping[Path, bool]
) -> None:
    """Write the template of worker pods, which reach Airflow and the API server on the bridge.

    :param folders: of this machine that a worker has, too, and whether it writes there.
    """
    namespace = airflow.environment["FLOW_NAMESPACE"]
    extra = {"in_cluster": True, "namespace": namespace}
    connection = {"conn_type": "kubernetes", "extra": extra}
    environment = {
        name: value
        for name, value in airflow.environment.items()
        if name.startswith(_FOR_WORKERS) and not name.startswith(_NOT_FOR_WORKERS)
    } | {
        "AIRFLOW__CORE__EXECUTOR": "LocalExecutor",
        "AIRFLOW_CONN_KUBERNETES_DEFAULT": json.dumps(connection),
        # No service has an address here.
        "KUBERNETES_SERVICE_HOST": api_server.host,
        "KUBERNETES_SERVICE_PORT": str(api_server.port),
    }
    mounts, volumes = [], []
    for number, (folder, writes) in enumerate(folders.items()):
        name = f"folder-{number}"
        mounts.append({"name": name, "mountPath": str(folder), "readOnly": not writes})
        volumes.append({"name": name, "hostPath": {"path": str(folder), "type": "Directory"}})
    worker = {
        "name": "base",
        "image": f"{REPOSITORY}:{TAG}",
        "imagePullPolicy": "IfNotPresent",
        # The kubelet takes $(NAME) for a reference.
        "env": [
            {"name": name, "value": value.replace("$", "$$")} for name, value in environment.items()
        ],
        "volumeMounts": mounts,
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "worker"},
        "spec": {
            "serviceAccountName": WORKER,
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": GRACE,
            "containers": [worker],
            "volumes": volumes,
        },
    }
    template.write_text(yaml.safe_dump(pod))


class PodRun(Run):
    """A run whose tasks are in pods of the executor's."""

    def worker_pods(self) -> list[Any]:
        """Return the pods that there are for the task, the last one last."""
        pods = self.world.core_v1.list_pod_for_all_namespaces(label_selector=OF_EXECUTOR).items
        own = {"dag_id": self.dag_id, "run_id": self.run_id, "task_id": self.task_id}
        found = [pod for pod in pods if own.items() <= (pod.metadata.annotations or {}).items()]
        return sorted(found, key=lambda pod: str(pod.metadata.creation_timestamp))

    def worker_pod(self) -> Any:
        """Return the pod in which the task runs."""
        return self._wait(self._running_pods, "the worker's pod to run")[-1]

    def _wait(self, condition: Callable[[], Any], what: str, seconds: float = START) -> Any:
        return super()._wait(condition, what, seconds)

    def _running_pods(self) -> list[Any]:
        return [pod for pod in self.worker_pods() if pod.status.phase == "Running"]

    def delete_worker_pod(self) -> str:
        """Delete the pod, as `kubectl delete` does; return its name."""
        metadata = self.worker_pod().metadata
        self.world.core_v1.delete_namespaced_pod(metadata.name, metadata.namespace)
        name: str = metadata.name
        return name

    def evict_worker_pod(self) -> str:
        """Evict the pod, as a node that is drained does; return its name."""
        metadata = self.worker_pod().metadata
        eviction = client.V1Eviction(
            metadata=client.V1ObjectMeta(name=metadata.name, namespace=metadata.namespace)
        )
        core = self.world.core_v1
        core.create_namespaced_pod_eviction(metadata.name, metadata.namespace, eviction)
        name: str = metadata.name
        return name

    def task_process(self) -> int:
        """Return the number that the task's process has on this machine, not in its container."""
        number = super().task_process()
        status = self.worker_pod().status.container_statuses[0]
        container = status.container_id.removeprefix("containerd://")
        return self._wait(lambda: _process_in(container, number), "the process in the container")  # type: ignore[no-any-return]


def _process_in(container: str, number: int) -> int | None:
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if container not in (folder / "cgroup").read_text():
                continue
            status = (folder / "status").read_text()
        except OSError:
            continue  # it has just ended
        (inside,) = (line for line in status.splitlines() if line.startswith("NSpid:"))
        if int(inside.split()[-1]) == number:
            return int(folder.name)
    return None


class PodWorld(World):
    """A world whose Airflow makes a pod for each try of a task, and each time it resumes."""

    def start(self, name: str = "exactly_one", **arguments: Any) -> PodRun:
        """Start a run of a DAG."""
        return PodRun(self, self.dag_id(name), **arguments)
