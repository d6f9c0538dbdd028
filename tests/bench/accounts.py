"""A service account for each of those measured: the audit log tells by it who asked for what."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from kubernetes import client, config

from tests.support.access import kubeconfig_of
from tests.support.audit import AuditLog
from tests.support.node.node import Node
from tests.support.wait import wait_for

NAMESPACE = "bench"
# Seconds; the bench is to take less than an hour.
_TOKEN_SECONDS = 7200


class Accounts:
    """The namespace `bench` of a node, in which each service account may do all."""

    def __init__(self, node: Node, folder: Path) -> None:
        self._node, self._folder = node, folder
        self._audit = AuditLog(node.audit_log)
        api = config.new_client_from_config(str(node.kubeconfig))
        self._core = client.CoreV1Api(api)
        self._core.create_namespace({"metadata": {"name": NAMESPACE}})
        subject = {"kind": "Group", "name": f"system:serviceaccounts:{NAMESPACE}"}
        client.RbacAuthorizationV1Api(api).create_cluster_role_binding(
            {
                "metadata": {"name": NAMESPACE},
                "roleRef": {
                    "apiGroup": "rbac.authorization.k8s.io",
                    "kind": "ClusterRole",
                    "name": "cluster-admin",
                },
                "subjects": [subject | {"apiGroup": "rbac.authorization.k8s.io"}],
            }
        )

        def has_service_account() -> bool:
            accounts = self._core.list_namespaced_service_account(NAMESPACE).items
            return any(account.metadata.name == "default" for account in accounts)

        wait_for(has_service_account, "the default service account")

    def connection(self, conn_id: str, account: str) -> dict[str, str]:
        """Return the environment that holds a connection of a new service account."""
        self._core.create_namespaced_service_account(NAMESPACE, {"metadata": {"name": account}})
        path = kubeconfig_of(
            self._node.kubeconfig, NAMESPACE, account, self._folder, seconds=_TOKEN_SECONDS
        )
        extra = {"kube_config_path": str(path), "namespace": NAMESPACE}
        connection = {"conn_type": "kubernetes", "extra": extra}
        return {f"AIRFLOW_CONN_{conn_id.upper()}": json.dumps(connection)}

    def position(self) -> int:
        """Return the audit log's present end."""
        return self._audit.position()

    def requests(self, account: str, since: int = 0) -> Counter[str]:
        """Return how often the account has asked for what: `create jobs`, `watch pods`, ..."""
        user = f"system:serviceaccount:{NAMESPACE}:{account}"
        asked = self._audit.requests(since=since, user=user)
        return Counter(
            f"{request.verb} {'/'.join(filter(None, (request.resource, request.subresource)))}"
            for request in asked
        )


def said(requests: Counter[str], runs: int) -> str:
    """Say how often each was asked for, a flow run."""
    each = (f"{count / runs:.3g} {what}" for what, count in sorted(requests.items()))
    return ", ".join(each)
