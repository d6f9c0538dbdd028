"""Real Prefects of several generations: their packages, made once, and images that have them."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.node.cache import make_once
from tests.support.node.errors import NodeError
from tests.support.node.images import import_flow_image
from tests.support.node.layers import ensure_layers
from tests.support.node.node import Node
from tests.support.node.progress import step

# The reference's release, and the last of each later generation; and what of those that they need
# is too new for them today.
_REQUIREMENTS = {
    "0.15": ("prefect==0.15.13", "setuptools<81", "marshmallow<3.20"),
    "1.4": ("prefect==1.4.1", "setuptools<81"),
    "2": ("prefect==2.20.27",),
    "3": ("prefect==3.8.8", "fastapi>=0.139,<0.150"),
}
GENERATIONS = tuple(_REQUIREMENTS)
# What may be too new tomorrow.
_NEWEST = "2026-11-20"
# What no flow runs.
_LEFT_OUT = ("tests", "test", "./prefect/server/ui", "./prefect/server/ui-v2")


def prefect_python() -> str:
    """Return the Python that the packages are for: the machine's, as in the node's images."""
    return shutil.which("python3", path="/usr/bin") or sys.executable


def prefect_packages(generation: str) -> Path:
    """Return the folder with Prefect of a generation and all that it needs."""
    return make_once(
        f"prefect{generation}-{_digest(generation)}", lambda folder: _install(folder, generation)
    )


def prefect_image(generation: str) -> str:
    """Return the name of the image of flows that has Prefect of a generation."""
    return f"local/prefect-flows:{generation}"


def import_prefect_image(node: Node, generation: str) -> str:
    """Give that image to a node, which takes seconds; return its name."""
    name = prefect_image(generation)
    layers = [ensure_layers() / "python.tar", _layer(generation)]
    import_flow_image(name, layers, node.configuration().containerd_socket)
    return name


def _install(folder: Path, generation: str) -> None:
    uv = Path(sys.executable).with_name("uv")
    install = (uv, "pip", "install", "--quiet", "--compile-bytecode", "--exclude-newer", _NEWEST)
    where = ("--python", prefect_python(), "--target", folder)
    with step(f"Installing Prefect {generation}, once"):
        _run(*install, *where, *_REQUIREMENTS[generation])


def _layer(generation: str) -> Path:
    """Return a tar file with the packages where Debian's Python finds them."""
    command = (prefect_python(), "-c", "import sys; print('python%d.%d' % sys.version_info[:2])")
    target = f"usr/local/lib/{_run(*command)}/dist-packages"

    def make(folder: Path) -> None:
        pack = ("tar", "-C", prefect_packages(generation), "--owner=0", "--group=0")
        options = (f"--transform=s,^\\.,{target},", *(f"--exclude={name}" for name in _LEFT_OUT))
        _run(*pack, *options, "-cf", folder / "packages.tar", ".")

    return make_once(f"prefect{generation}layer-{_digest(generation)}", make) / "packages.tar"


def _digest(generation: str) -> str:
    made_of = (*_REQUIREMENTS[generation], _NEWEST, *_LEFT_OUT, _run(prefect_python(), "-VV"))
    return hashlib.sha256("\n".join(made_of).encode()).hexdigest()[:16]


def _run(*command: str | Path) -> str:
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode != 0:
        raise NodeError(
            f"`{' '.join(map(str, command))}` ended with exit code {done.returncode}; see what it "
            "says above."
        )
    return done.stdout.strip()
