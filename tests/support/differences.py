"""How the Job in the cluster differs from the file that the user wrote."""

from __future__ import annotations

import copy
import re
from pathlib import Path
from typing import Any
from uuid import uuid4

import yaml

# What the API server writes into every object, and into the pods of a Job.
_SERVERS_OWN = (
    r"metadata\.(uid|creationTimestamp|resourceVersion|generation|managedFields)",
    r"status\..*",
    r"spec\.selector\..*",
    r"(spec\.template\.)?metadata\.labels\.(batch\.kubernetes\.io/)?(controller-uid|job-name)",
)
# What DESIGN section 4.1 lets a flow run change.
_FLOW_RUNS_OWN = (
    r"metadata\.(name|generateName|namespace)",
    r"(spec\.template\.)?metadata\.labels\.(identifier|flow_run_id)",
    r"metadata\.annotations\.flowjob/\w+",
    r"spec\.template\.spec\.containers\[0\]\.(image|command|args|env)(\[.*)?",
)
_ALLOWED = re.compile("|".join(f"(?:{pattern})" for pattern in _SERVERS_OWN + _FLOW_RUNS_OWN))


def differences(one: Any, other: Any, path: str = "") -> set[str]:
    """Return the paths of the fields in which two manifests differ."""
    if isinstance(one, dict) and isinstance(other, dict):
        keys = one.keys() | other.keys()
        return set().union(
            *(
                differences(one.get(key), other.get(key), f"{path}.{key}" if path else key)
                for key in keys
            )
        )
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return set().union(*(differences(a, b, f"{path}[{i}]") for i, (a, b) in pairs))
    if isinstance(one or other, dict) and (one is None or other is None):
        # A mapping that only one side has: tell which of its fields are new.
        return differences(one or {}, other or {}, path)
    return set() if one == other else {path}


def with_the_servers_defaults(
    batch_v1: Any, file: Path, namespace: str, image: str
) -> dict[str, Any]:
    """Return the user's file as the API server would store it, by a dry run.

    The file is given what the API server demands and DESIGN section 4.1 allows: a name, a
    restart policy, an image (whose tag decides the default of ``imagePullPolicy``).
    """
    manifest = yaml.safe_load(file.read_text())
    template = manifest["spec"]["template"]["spec"]
    manifest["metadata"].pop("generateName", None)
    manifest["metadata"]["name"] = f"dry-run-{uuid4().hex}"
    template.setdefault("restartPolicy", "Never")
    template["containers"][0]["image"] = image
    return to_dict(batch_v1.create_namespaced_job(namespace, manifest, dry_run="All"))


def to_dict(model: Any) -> dict[str, Any]:
    """Return a model of the Kubernetes client as the JSON that it stands for."""
    from kubernetes.client import ApiClient

    manifest: dict[str, Any] = ApiClient().sanitize_for_serialization(model)
    return copy.deepcopy(manifest)


def unexpected_differences(expected: dict[str, Any], found: dict[str, Any]) -> set[str]:
    """Return the paths that differ although neither the server nor a flow run may change them."""
    return {path for path in differences(expected, found) if not _ALLOWED.fullmatch(path)}
