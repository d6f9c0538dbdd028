"""Debian packages that the tests need, installed where this machine lets us."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.node.progress import step

_CREATE_CLUSTER_FOLDER = Path("/etc/postgresql-common/createcluster.d")


class PackageError(RuntimeError):
    """Says in one sentence which package could not be installed, and what to do."""


def can_install() -> bool:
    """Whether this is a Debian, and we are its root."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def install(*packages: str) -> None:
    """Install packages, without those that they merely recommend."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    commands = (
        ["apt-get", "update", "--quiet"],
        ["apt-get", "install", "--yes", "--quiet", "--no-install-recommends", *packages],
    )
    with step(f"Installing Debian's {' '.join(packages)}"):
        for command in commands:
            done = subprocess.run(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
                check=False,
            )
            if done.returncode != 0:
                raise PackageError(
                    f"`{' '.join(command)}` ended with exit code {done.returncode}; install the "
                    f"packages by hand: {done.stderr.strip()}"
                )


def ensure_postgres() -> None:
    """Install Postgres' programs if they are missing and can be installed.

    Where they cannot, the tests that need them fail and say so.
    """
    present = shutil.which("initdb") or list(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not present and can_install():
        with _without_a_server_of_its_own():
            install("postgresql")


def ensure_chromium() -> None:
    """Install Chromium if it is missing and can be installed; see ``ensure_postgres``."""
    if shutil.which("chromium") is None and can_install():
        install("chromium")


def ensure_redis() -> None:
    """Install Redis' programs if they are missing and can be installed; see ``ensure_postgres``.

    The tools' package has the server's program, too, and starts none.
    """
    if shutil.which("redis-check-rdb") is None and can_install():
        install("redis-tools")


@contextmanager
def _without_a_server_of_its_own() -> Iterator[None]:
    """Keep the package from making a database cluster, and so from starting a server for it."""
    new_folders = [
        folder
        for folder in (_CREATE_CLUSTER_FOLDER, _CREATE_CLUSTER_FOLDER.parent)
        if not folder.exists()
    ]
    _CREATE_CLUSTER_FOLDER.mkdir(parents=True, exist_ok=True)
    setting = _CREATE_CLUSTER_FOLDER / "flowjob.conf"
    setting.write_text("create_main_cluster = false\n")
    try:
        yield
    finally:
        setting.unlink()
        for folder in new_folders:
            if not any(folder.iterdir()):
                folder.rmdir()
