"""Kustomize, built from the go.mod beside this file."""

import subprocess
from pathlib import Path
from typing import Any

import yaml

from tests.support.go_program import go_program

_HERE = Path(__file__).parent
_PACKAGE = "sigs.k8s.io/kustomize/kustomize/v5"


def kustomize() -> Path:
    """Return the program, building it if the cache does not have it."""
    return go_program(_HERE, _PACKAGE, "kustomize", "1 to 3 minutes")


def objects_of(folder: Path) -> list[dict[str, Any]]:
    """Return the objects that a kustomization makes.

    :param folder: the one with its kustomization.yaml.
    """
    done = subprocess.run(
        [str(kustomize()), "build", str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr, "kustomize warns of something"
    return list(yaml.safe_load_all(done.stdout))
