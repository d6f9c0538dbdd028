"""Docker Compose: this machine's own, or one built from the go.mod beside this file."""

import hashlib
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.support.node.binaries import _go
from tests.support.node.cache import make_once
from tests.support.node.progress import run_long, step

_HERE = Path(__file__).parent


def compose_command() -> Sequence[str]:
    """Return the command to which Compose's arguments are added."""
    if shutil.which("docker") is not None:
        probe = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
        if probe.returncode == 0:
            return ["docker", "compose"]
    digest = hashlib.sha256((_HERE / "go.sum").read_bytes()).hexdigest()
    return [str(make_once(f"compose-{digest[:16]}", _build) / "docker-compose")]


def _build(folder: Path) -> None:
    source = folder / "source"
    source.mkdir()
    for name in ("go.mod", "go.sum"):
        shutil.copy(_HERE / name, source)
    package = "github.com/docker/compose/v2/cmd"
    output = str(folder / "docker-compose")
    command = [_go(), "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o", output]
    environment = {**os.environ, "CGO_ENABLED": "0", "GOWORK": "off"}
    with step("Building Docker Compose with Go, once (2 to 8 minutes)"):
        run_long([*command, package], folder / "build.log", source, environment)
    shutil.rmtree(source)
