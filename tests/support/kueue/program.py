"""Kueue's manager, and what its module has for a cluster: definitions and webhooks."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from tests.support.go_program import go_program

_HERE = Path(__file__).parent
_PACKAGE = "sigs.k8s.io/kueue/cmd/kueue"
_COMPONENTS = "config/components"
# Whose objects a manager that cares for Jobs alone is shown before they are stored.
_GROUPS = {"batch", "kueue.x-k8s.io"}

Object = dict[str, Any]
# By a path of the manager's, how the API server reaches it.
Reach = Callable[[str], Object]


def manager() -> Path:
    """Return the program, building it if the cache does not have it."""
    return go_program(_HERE, _PACKAGE, "kueue", "4 to 10 minutes", keep=_COMPONENTS)


def definitions(reach: Reach) -> Iterator[Object]:
    """Yield Kueue's definitions of its kinds, those of several versions with their conversion."""
    folder = _components() / "crd"
    (kustomization,) = _load(folder / "kustomization.yaml")
    patches = [each for item in kustomization["patches"] for each in _load(folder / item["path"])]
    conversions = {each["metadata"]["name"]: each["spec"]["conversion"] for each in patches}
    for file in kustomization["resources"]:
        for definition in _load(folder / file):
            if conversion := conversions.get(definition["metadata"]["name"]):
                webhook = conversion["webhook"]
                webhook["clientConfig"] = reach(webhook["clientConfig"]["service"]["path"])
                definition["spec"]["conversion"] = conversion
            yield definition


def webhooks(reach: Reach) -> Iterator[Object]:
    """Yield the configurations of Kueue's webhooks for Jobs and for its own objects."""
    for configuration in _load(_components() / "webhook" / "manifests.yaml"):
        wanted = [
            webhook
            for webhook in configuration["webhooks"]
            if all(set(rule["apiGroups"]) <= _GROUPS for rule in webhook["rules"])
        ]
        for webhook in wanted:
            webhook["clientConfig"] = reach(webhook["clientConfig"]["service"]["path"])
        configuration["metadata"]["name"] = f"kueue-{configuration['metadata']['name']}"
        yield {**configuration, "webhooks": wanted}


def _components() -> Path:
    return manager().parent / _COMPONENTS


def _load(file: Path) -> list[Object]:
    return [each for each in yaml.load_all(file.read_text(), yaml.CSafeLoader) if each]
