"""Kubeconfigs of users that may do only what a test grants them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from kubernetes import client, config

_TOKEN_SECONDS = 3600


def restricted_kubeconfig(
    kubeconfig: Path,
    namespace: str,
    account: str,
    rules: Sequence[dict[str, Any]],
    folder: Path,
) -> Path:
    """Create a service account that may do only what `rules` say, and return its kubeconfig.

    The rules are those of an RBAC Role in `namespace`, such as
    `{"apiGroups": ["batch"], "resources": ["jobs"], "verbs": ["create", "get"]}`.
    """
    api = config.new_client_from_config(str(kubeconfig))
    core, rbac = client.CoreV1Api(api), client.RbacAuthorizationV1Api(api)
    metadata = {"name": account}
    core.create_namespaced_service_account(namespace, {"metadata": metadata})
    rbac.create_namespaced_role(namespace, {"metadata": metadata, "rules": list(rules)})
    binding = {
        "metadata": metadata,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": account},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace}],
    }
    rbac.create_namespaced_role_binding(namespace, binding)
    return kubeconfig_of(kubeconfig, namespace, account, folder)


def kubeconfig_of(
    kubeconfig: Path, namespace: str, account: str, folder: Path, seconds: int = _TOKEN_SECONDS
) -> Path:
    """Return the kubeconfig of a service account that there is, good for so many seconds."""
    core = client.CoreV1Api(config.new_client_from_config(str(kubeconfig)))
    request = {"spec": {"expirationSeconds": seconds}}
    token = core.create_namespaced_service_account_token(account, namespace, request).status.token
    return _write(kubeconfig, namespace, account, token, folder)


def set_rules(
    kubeconfig: Path, namespace: str, account: str, rules: Sequence[dict[str, Any]]
) -> None:
    """Let a service account of `restricted_kubeconfig` do what `rules` say from now on."""
    rbac = client.RbacAuthorizationV1Api(config.new_client_from_config(str(kubeconfig)))
    role = {"metadata": {"name": account}, "rules": list(rules)}
    rbac.replace_namespaced_role(account, namespace, role)


def _write(kubeconfig: Path, namespace: str, account: str, token: str, folder: Path) -> Path:
    content = yaml.safe_load(kubeconfig.read_text())
    contexts = {entry["name"]: entry["context"] for entry in content["contexts"]}
    cluster_name = contexts[content["current-context"]]["cluster"]
    cluster = next(x["cluster"] for x in content["clusters"] if x["name"] == cluster_name)
    if "certificate-authority" in cluster:
        authority = kubeconfig.parent / cluster["certificate-authority"]
        cluster["certificate-authority"] = str(authority)
    context = {"cluster": cluster_name, "user": account, "namespace": namespace}
    restricted = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": cluster_name, "cluster": cluster}],
        "users": [{"name": account, "user": {"token": token}}],
        "contexts": [{"name": account, "context": context}],
        "current-context": account,
    }
    path = folder / f"{account}.kubeconfig"
    path.touch(mode=0o600)
    path.write_text(yaml.safe_dump(restricted, sort_keys=False))
    return path
