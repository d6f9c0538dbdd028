"""The image of all flows that are measured: the tests' own, with the shell that a peer asks for."""

from __future__ import annotations

import tarfile
import tempfile
from pathlib import Path

from tests.support.node.images import import_flow_image
from tests.support.node.layers import ensure_layers
from tests.support.node.node import Node

IMAGE = "local/bench:1"


def import_bench_image(node: Node) -> None:
    """Give it to the node: `@task.kubernetes` runs its function by `bash`."""
    with tempfile.TemporaryDirectory() as folder:
        layer = Path(folder) / "bash.tar"
        with tarfile.open(layer, "w") as archive:
            link = tarfile.TarInfo("usr/local/bin/bash")
            link.type, link.linkname, link.mode = tarfile.SYMTYPE, "/bin/sh", 0o777
            archive.addfile(link)
        layers = [ensure_layers() / "python.tar", layer]
        import_flow_image(IMAGE, layers, node.configuration().containerd_socket)
