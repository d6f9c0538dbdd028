"""Images in the place of those that docker-compose.yaml would pull, made of what is at hand.

| name in the file | what it is here |
|---|---|
| apache/airflow | Debian's Python, and the newest Airflow that `constraints.txt` pins |
| postgres | Debian's Postgres, started by the same variables |
| rancher/k3s | the node of `tests/support/node`, started by the same arguments |

Each is one layer, a tar file in the cache.
"""

from __future__ import annotations

import hashlib
import inspect
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from tests.compose.engine import Engine
from tests.matrix.cells import CHECKOUT, airflow_version
from tests.support.node.binaries import ensure_binaries
from tests.support.node.cache import make_once
from tests.support.node.containerd import containerd
from tests.support.node.layers import _APT_SOURCES, _release, ensure_layers
from tests.support.node.progress import run_long, step

_HERE = Path(__file__).parent
_STARTS = _HERE / "starts"
_NODE = CHECKOUT / "tests" / "support" / "node"
# What the node's modules import, beside each other and tests/setup.
_SUPPORT = ("__init__", "go_program", "wait")
_UV = str(Path(sys.executable).parent / "uv")
_CONSTRAINTS = CHECKOUT / "constraints.txt"

_TOOLS = ("dash", "bash", "coreutils", "base-files", "sed", "grep", "findutils", "util-linux")
_NEVER_READ = ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info", "var/cache")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def give_images(engine: Engine) -> None:
    """Give the engine each image, under the name that the file has for it."""
    version = airflow_version(_CONSTRAINTS)
    engine.import_image(
        f"apache/airflow:{version}",
        airflow_layer(),
        env=f"AIRFLOW_VERSION={version} AIRFLOW_HOME=/opt/airflow PYTHONPATH=/opt/packages "
        f"PATH=/home/airflow/.local/bin:{_PATH} LANG=C.UTF-8 "
        # Nothing is fetched: what the package is built with is there.
        "PIP_NO_INDEX=1 PIP_FIND_LINKS=/opt/wheels PIP_USER=1 PIP_BREAK_SYSTEM_PACKAGES=1",
        entrypoint='["/start"]',
        user="airflow",
        workdir="/opt/airflow",
    )
    engine.import_image(
        "postgres:17",
        _layer("postgres", _postgres),
        env=f"PATH=/usr/lib/postgresql/bin:{_PATH}",
        entrypoint='["/start"]',
    )
    engine.import_image(
        "rancher/k3s:v1.34.1-k3s1",
        _layer("k3s", _node),
        env=f"PATH={_PATH} XDG_CACHE_HOME=/opt/cache PYTHONPATH=/opt/flowjob",
        entrypoint='["/start"]',
    )


def airflow_layer() -> Path:
    """Return the tar file of the image in the place of apache/airflow."""
    return _layer("airflow", _airflow)


def _layer(name: str, make: Callable[[Path], None]) -> Path:
    """Return the tar file of an image's only layer, making it if the cache has none."""
    parts = [_CONSTRAINTS.read_text()]
    parts += [inspect.getsource(each) for each in (make, _debian, _add_user)]
    parts += [file.read_text() for file in sorted(_STARTS.glob(f"{name}.*"))]
    if make is _node:
        parts += [file.read_text() for file in sorted(_NODE.glob("*.py"))]
        parts += map(str, _made())
    digest = hashlib.sha256("".join(parts).encode())

    def pack(folder: Path) -> None:
        root = folder / "root"
        with step(f"Making the image in the place of {name}, once"):
            make(root)
            for each in _NEVER_READ:
                shutil.rmtree(root / each, ignore_errors=True)
            tar = ["tar", "-C", str(root), "--numeric-owner", "--exclude=./dev/*", "-cf"]
            run_long([*tar, str(folder / "layer.tar"), "."], folder / "make.log")
        shutil.rmtree(root)

    return make_once(f"image_{name}-{digest.hexdigest()[:16]}", pack) / "layer.tar"


def _debian(root: Path, *packages: str) -> None:
    """Unpack packages into an empty tree; their scripts would need many more of them."""
    sources = next(path for path in _APT_SOURCES if Path(path).exists())
    include = ",".join((*_TOOLS, *packages))
    command = ["mmdebstrap", "--variant=extract", f"--include={include}", _release(), str(root)]
    run_long([*command, sources], root.parent / "make.log")
    (root / "tmp").chmod(0o1777)
    users = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"
    (root / "etc" / "passwd").write_text(users)
    (root / "etc" / "group").write_text("root:x:0:\nnogroup:x:65534:\n")


def _start(root: Path, name: str, target: str = "start") -> None:
    (root / target).parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(_STARTS / name, root / target)
    (root / target).chmod(0o755)


def _add_user(root: Path, name: str, number: int, group: int, home: str) -> None:
    with (root / "etc" / "passwd").open("a") as users:
        users.write(f"{name}:x:{number}:{group}::{home}:/bin/bash\n")
    if group:
        with (root / "etc" / "group").open("a") as groups:
            groups.write(f"{name}:x:{group}:\n")


def _airflow(root: Path) -> None:
    _debian(root, "python3", "curl", "libstdc++6", "tzdata", "media-types")
    _add_user(root, "airflow", 50000, 0, "/home/airflow")
    for folder in ("home/airflow", "opt/airflow", "opt/airflow/logs", "opt/airflow/dags"):
        (root / folder).mkdir(parents=True)
        shutil.chown(root / folder, 50000, 0)
    install = [_UV, "pip", "install", "--quiet", "--python", "/usr/bin/python3"]
    install += ["--constraints", str(_CONSTRAINTS), "--target", str(root / "opt" / "packages")]
    log = root.parent / "make.log"
    named = ["apache-airflow", "apache-airflow-providers-cncf-kubernetes", "asyncpg"]
    run_long([*install, *named, "psycopg2-binary", "pip"], log)
    # All of Airflow's programs would compile it for themselves.
    run_long(["chroot", str(root), "python3", "-m", "compileall", "-q", "/opt/packages"], log)
    wheels = [sys.executable, "-m", "pip", "download", "--quiet", "--dest"]
    run_long([*wheels, str(root / "opt" / "wheels"), "hatchling>=1.27"], log)
    for program in ("airflow", "pip"):
        file = root / "usr" / "local" / "bin" / program
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f'#!/bin/sh\nexec python3 -m {program} "$@"\n')
        file.chmod(0o755)
    _start(root, "airflow.sh")


def _postgres(root: Path) -> None:
    _debian(root, "postgresql")
    _add_user(root, "postgres", 999, 999, "/var/lib/postgresql")
    (version,) = (root / "usr" / "lib" / "postgresql").iterdir()
    (version.parent / "bin").symlink_to(f"{version.name}/bin")
    _start(root, "postgres.sh")


def _made() -> tuple[Path, ...]:
    """Return the folders of the cache with what a node is made of."""
    return ensure_binaries(), ensure_layers(), containerd().parent


def _node(root: Path) -> None:
    _debian(
        root,
        *("containerd", "runc", "containernetworking-plugins", "busybox-static", "iproute2"),
        *("mount", "python3", "python3-yaml", "python3-cryptography"),
    )
    support = root / "opt" / "flowjob" / "tests"
    for part in ("support/node", "setup"):
        shutil.copytree(CHECKOUT / "tests" / part, support / part)
    for file in ("__init__.py", *(f"support/{name}.py" for name in _SUPPORT)):
        shutil.copy(CHECKOUT / "tests" / file, support / file)
    shutil.copytree(CHECKOUT / "dags" / "flows", root / "opt" / "flowjob" / "dags" / "flows")
    for made in _made():
        shutil.copytree(made, root / "opt" / "cache" / "flowjob" / made.name)
    # Only asked for: the file trees that it makes are there.
    (root / "usr" / "bin" / "mmdebstrap").touch(0o755)
    _start(root, "k3s.py")
    _start(root, "kubectl.py", "usr/local/bin/kubectl")
