"""Programs that the Go toolchain builds from a go.mod of ours, once for each content of it."""

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

from tests.support.node.binaries import _go
from tests.support.node.cache import make_once
from tests.support.node.progress import run_long, step


def go_program(modules: Path, package: str, name: str, took: str, keep: str = "") -> Path:
    """Return the program, building it if the cache does not have it.

    :param modules: the folder with go.mod and go.sum, whose name the cache has it by.
    :param package: what is built.
    :param name: of the program.
    :param took: how long that takes, as a reader is told.
    :param keep: a folder of the package's module that is kept beside the program; empty (default):
        none.
    """

    def build(folder: Path) -> None:
        source = folder / "source"
        source.mkdir()
        for file in ("go.mod", "go.sum"):
            shutil.copy(modules / file, source)
        command = [_go(), "build", "-trimpath", "-buildvcs=false", "-ldflags=-s -w"]
        command += ["-o", str(folder / name), package]
        environment = {**os.environ, "CGO_ENABLED": "0", "GOWORK": "off"}
        with step(f"Building {name} with Go, once ({took})"):
            run_long(command, folder / "build.log", source, environment)
        if keep:
            command = [_go(), "list", "-f", "{{.Module.Dir}}", package]
            module = subprocess.run(
                command, cwd=source, env=environment, capture_output=True, text=True, check=True
            )
            shutil.copytree(Path(module.stdout.strip()) / keep, folder / keep)
        shutil.rmtree(source)

    digest = hashlib.sha256((modules / "go.sum").read_bytes()).hexdigest()
    return make_once(f"{modules.name}-{digest[:16]}", build) / name
