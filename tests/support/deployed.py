"""The rights of `deploy/`, made by its kustomization and granted to a test's own accounts."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml
from kubernetes import client, config, utils

from tests.support.kustomize import objects_of
from tests.support.wait import wait_for

DEPLOY = Path(__file__).parents[2] / "deploy"

WORKER = "airflow-worker"
TRIGGERER = "airflow-triggerer"
API_SERVER = "airflow-api-server"

Object = dict[str, Any]


def rights(namespace: str, folder: Path, *components: str) -> list[Object]:
    """Return the roles and bindings of flows in a namespace, whose Airflow is there, too.

    They are made by the kustomization that deploy/README.md shows, with other names in it.

    :param components: what is used beyond flow runs, such as "secrets".
    """
    shown = (DEPLOY / "README.md").read_text()
    (block,) = re.findall(r"```yaml\n(.*?)```", shown, re.DOTALL)
    kustomization = yaml.safe_load(block.replace("my-airflow", namespace))
    there = os.path.relpath(DEPLOY, folder)
    kustomization |= {
        "namespace": namespace,
        # What is not in a namespace must not be another test's.
        "nameSuffix": f"-{namespace}",
        "resources": [there],
        "components": [f"{there}/rbac/{each}" for each in components],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    return objects_of(folder)


def without(objects: Sequence[Object], resource: str, verb: str) -> list[Object]:
    """Return the roles and bindings without one verb."""
    left = deepcopy(list(objects))
    for each in left:
        for rule in each.get("rules", []):
            if resource in rule["resources"] and verb in rule["verbs"]:
                rule["verbs"].remove(verb)
        if "rules" in each:
            each["rules"] = [rule for rule in each["rules"] if rule["verbs"]]
    return left


def granted(objects: Iterable[Object], role: str = "") -> set[tuple[str, str]]:
    """Return what the roles grant whose names begin so: resources, each with a verb."""
    return {
        (resource, verb)
        for each in objects
        if each["metadata"]["name"].startswith(role)
        for rule in each.get("rules", [])
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


@contextmanager
def applied(kubeconfig: Path, namespace: str, objects: Sequence[Object]) -> Iterator[None]:
    """Apply roles and bindings to a cluster, with the accounts of a Helm release in a namespace.

    What is not in the namespace is deleted at the end.
    """
    api = config.new_client_from_config(str(kubeconfig))
    core, rbac = client.CoreV1Api(api), client.RbacAuthorizationV1Api(api)
    try:
        for account in (WORKER, TRIGGERER, API_SERVER):
            core.create_namespaced_service_account(namespace, {"metadata": {"name": account}})
        for each in objects:
            utils.create_from_dict(api, each)
        _wait_until_known(api, namespace, objects)
        yield
    finally:
        for each in objects:
            name = each["metadata"]["name"]
            with suppress(client.ApiException):
                if each["kind"] == "ClusterRole":
                    rbac.delete_cluster_role(name)
                if each["kind"] == "ClusterRoleBinding":
                    rbac.delete_cluster_role_binding(name)


def _wait_until_known(api: Any, namespace: str, objects: Sequence[Object]) -> None:
    """Wait until the API server has read each binding: one that it has not is a missing right."""
    roles = {(each["kind"], each["metadata"]["name"]): each for each in objects if "rules" in each}
    for binding in objects:
        if "roleRef" not in binding:
            continue
        reference, (subject,) = binding["roleRef"], binding["subjects"]
        rules = roles[reference["kind"], reference["name"]]["rules"]
        user = f"system:serviceaccount:{subject['namespace']}:{subject['name']}"
        for rule in rules:
            resource, _, part = rule["resources"][0].partition("/")
            attributes = {
                "namespace": namespace,
                "group": rule["apiGroups"][0],
                "resource": resource,
                "subresource": part,
                "verb": rule["verbs"][0],
            }
            review = {"spec": {"user": user, "resourceAttributes": attributes}}

            def may(review: Object = review) -> bool:
                asked = client.AuthorizationV1Api(api).create_subject_access_review(review)
                return bool(asked.status.allowed)

            wait_for(may, f"{user} to have the right {attributes}")
