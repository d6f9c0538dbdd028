"""A cluster is reached in every way that the provider's Airflow connection knows."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from flowjob.cluster.api_server import Cluster as ClusterClient
from flowjob.cluster.connection import load_connection
from flowjob.worker.loop_thread import LoopThread
from tests.support.access import restricted_kubeconfig
from tests.support.cluster import Cluster
from tests.support.node.node import Node

RULES = [{"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["list"]}]


def reaches(namespace: str, extra: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> bool:
    connection = {"conn_type": "kubernetes", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_ANY", json.dumps(connection))
    with LoopThread() as loop, loop.use(ClusterClient("any")) as cluster:
        return loop.run(cluster.list_jobs(namespace, "flow_run_id")) == []


def test_by_the_path_of_a_kubeconfig(
    cluster: Cluster, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert reaches(namespace, {"kube_config_path": str(cluster.kubeconfig)}, monkeypatch)


def test_by_a_kubeconfig_in_the_connection(
    cluster: Cluster, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = yaml.safe_load(cluster.kubeconfig.read_text())
    assert reaches(namespace, {"kube_config": json.dumps(content)}, monkeypatch)


def test_by_one_of_many_contexts(
    cluster: Cluster, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = yaml.safe_load(cluster.kubeconfig.read_text())
    right = content["current-context"]
    content["clusters"].append({"name": "wrong", "cluster": {"server": "https://127.0.0.1:1"}})
    user = content["contexts"][0]["context"]["user"]
    content["contexts"].append({"name": "wrong", "context": {"cluster": "wrong", "user": user}})
    content["current-context"] = "wrong"
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(content))
    extra = {"kube_config_path": str(path), "cluster_context": right}
    assert reaches(namespace, extra, monkeypatch)


def test_by_the_token_of_an_exec_plugin(
    cluster: Cluster, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = restricted_kubeconfig(cluster.kubeconfig, namespace, "lister", RULES, tmp_path)
    content = yaml.safe_load(path.read_text())
    credential = {
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"token": content["users"][0]["user"]["token"]},
    }
    (tmp_path / "credential.json").write_text(json.dumps(credential))
    content["users"][0]["user"] = {
        "exec": {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": "cat",
            "args": [str(tmp_path / "credential.json")],
            "interactiveMode": "Never",
        }
    }
    path.write_text(yaml.safe_dump(content))
    assert reaches(namespace, {"kube_config_path": str(path)}, monkeypatch)


IN_CLUSTER = """
import sys
from flowjob.cluster.api_server import Cluster
from flowjob.worker.loop_thread import LoopThread
with LoopThread() as loop, loop.use(Cluster("any")) as cluster:
    assert loop.run(cluster.list_jobs(sys.argv[1], "flow_run_id")) == []
    # Jobs go where this pod is, where nobody says otherwise.
    assert cluster.namespace == sys.argv[1]
print("reached")
"""
# A pod's files, in a mount namespace of this process's own.
MOUNT = """
mount --make-rprivate /
mount -t tmpfs tmpfs /run
mkdir -p /run/secrets/kubernetes.io
ln -s "$1" /run/secrets/kubernetes.io/serviceaccount
shift
exec "$@"
"""


def test_from_within_the_cluster(own_node: Node, namespace: str, tmp_path: Path) -> None:
    path = restricted_kubeconfig(own_node.kubeconfig, namespace, "lister", RULES, tmp_path)
    content = yaml.safe_load(path.read_text())
    files = tmp_path / "serviceaccount"
    files.mkdir()
    (files / "token").write_text(content["users"][0]["user"]["token"])
    authority = Path(content["clusters"][0]["cluster"]["certificate-authority"])
    (files / "ca.crt").write_bytes(authority.read_bytes())
    (files / "namespace").write_text(namespace)
    port = content["clusters"][0]["cluster"]["server"].rpartition(":")[2]
    connection = {"conn_type": "kubernetes", "extra": {"in_cluster": True}}
    done = subprocess.run(
        [
            *("unshare", "--mount", "sh", "-ec", MOUNT, "sh", str(files)),
            *(sys.executable, "-c", IN_CLUSTER, namespace),
        ],
        env={
            **os.environ,
            "AIRFLOW_CONN_ANY": json.dumps(connection),
            "KUBERNETES_SERVICE_HOST": "127.0.0.1",
            "KUBERNETES_SERVICE_PORT": port,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.endswith("reached\n"), done.stderr


def test_by_a_token_in_a_file(
    cluster: Cluster, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = restricted_kubeconfig(cluster.kubeconfig, namespace, "lister", RULES, tmp_path)
    content = yaml.safe_load(path.read_text())
    token = tmp_path / "token"
    token.write_text(content["users"][0]["user"]["token"])
    content["users"][0]["user"] = {"tokenFile": str(token)}
    path.write_text(yaml.safe_dump(content))
    assert reaches(namespace, {"kube_config_path": str(path)}, monkeypatch)


def namespace_of(extra: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> str | None:
    connection = {"conn_type": "kubernetes", "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_ANY", json.dumps(connection))
    return load_connection("any").namespace


def test_a_contexts_namespace_counts_as_it_does_for_kubectl(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = yaml.safe_load(cluster.kubeconfig.read_text())
    context = content["contexts"][0]["context"]
    content["contexts"] = [
        {"name": "mine", "context": {**context, "namespace": "team"}},
        {"name": "other", "context": {**context, "namespace": "others"}},
        {"name": "none", "context": context},
    ]
    content["current-context"] = "mine"
    path = tmp_path / "kubeconfig"
    path.write_text(yaml.safe_dump(content))
    for extra in ({"kube_config_path": str(path)}, {"kube_config": json.dumps(content)}):
        assert namespace_of(extra, monkeypatch) == "team"
        assert namespace_of({**extra, "cluster_context": "other"}, monkeypatch) == "others"
        assert namespace_of({**extra, "cluster_context": "none"}, monkeypatch) is None
        assert namespace_of({**extra, "namespace": "named"}, monkeypatch) == "named"
