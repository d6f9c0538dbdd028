"""The image of Airflow's workers: Airflow's own, and above it the package of this checkout."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.compose.stand_ins import airflow_layer
from tests.matrix.cells import CHECKOUT
from tests.support.node.images import import_image
from tests.support.node.node import Node
from tests.support.node.progress import run_long

REPOSITORY, TAG = "local/airflow", "1"
_UV = str(Path(sys.executable).parent / "uv")
_CONFIG = {
    "Entrypoint": ["/start"],
    "Env": [
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "LANG=C.UTF-8",
        "AIRFLOW_HOME=/opt/airflow",
        "PYTHONPATH=/opt/packages",
    ],
    "WorkingDir": "/opt/airflow",
}


def import_worker_image(node: Node, folder: Path) -> None:
    """Give a node the image; what it is made of lies in `folder` meanwhile."""
    layers = [airflow_layer(), _package_layer(folder)]
    socket = node.configuration().containerd_socket
    import_image(f"{REPOSITORY}:{TAG}", layers, _CONFIG, socket)


def _package_layer(folder: Path) -> Path:
    """Install the package as a user of `deploy/Dockerfile` does, and pack what came of it."""
    root, log = folder / "root", folder / "make.log"
    packages, programs = root / "opt" / "packages", root / "usr" / "local" / "bin"
    install = [_UV, "pip", "install", "--quiet", "--no-deps", "--python", "/usr/bin/python3"]
    run_long([*install, "--compile-bytecode", "--target", str(packages), str(CHECKOUT)], log)
    programs.mkdir(parents=True)
    # The executor calls it so.
    (programs / "python").symlink_to("/usr/bin/python3")
    layer = folder / "layer.tar"
    run_long(["tar", "-C", str(root), "--numeric-owner", "-cf", str(layer), "."], log)
    return layer
