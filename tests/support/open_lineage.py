"""The real OpenLineage provider of Airflow, beside an Airflow that does not have it."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

from tests.support.node.cache import make_once
from tests.support.node.progress import step

# The provider, and what of its requirements Airflow has not.
_PACKAGES = (
    "apache-airflow-providers-openlineage==2.20.3",
    "httpcore2==2.16.2",
    "httpx2==2.16.2",
    "openlineage-integration-common==1.54.0",
    "openlineage-python==1.54.0",
    "openlineage-sql==1.54.0",
)


def open_lineage_packages() -> Path:
    """Return the folder with the provider, for ``PYTHONPATH``."""
    made_of = "\n".join((*_PACKAGES, sys.version))
    return make_once(f"openlineage-{hashlib.sha256(made_of.encode()).hexdigest()[:16]}", _install)


def _install(folder: Path) -> None:
    uv = Path(sys.executable).with_name("uv")
    where = ("--python", sys.executable, "--target", folder)
    with step("Installing the OpenLineage provider, once"):
        subprocess.run(
            [uv, "pip", "install", "--quiet", "--no-deps", *where, *_PACKAGES], check=True
        )
