"""The file trees of the container images, as tar files in the cache: made once, without a registry.

`python.tar` is a small Debian with Python, `busybox.tar` nothing but busybox and its commands.
"""

import hashlib
import platform
import shutil
import subprocess
from pathlib import Path

from tests.support.node.cache import make_once
from tests.support.node.errors import NodeError
from tests.support.node.progress import run_long, step

# The last is what a Python package that is written in C++ needs, as in any Python image.
_PACKAGES = "python3,dash,coreutils,base-files,tzdata,sed,grep,findutils,libstdc++6"
_NEVER_READ = ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info", "var/cache")
_APT_SOURCES = (
    "/etc/apt/sources.list.d/debian.sources",
    "/etc/apt/sources.list.d/ubuntu.sources",
    "/etc/apt/sources.list",
)


def ensure_layers() -> Path:
    """Return the folder with `python.tar` and `busybox.tar`, making them if need be."""
    digest = hashlib.sha256(Path(__file__).read_bytes())
    digest.update(_release().encode())
    return make_once(f"layers-{digest.hexdigest()[:16]}", _make)


def _release() -> str:
    return platform.freedesktop_os_release().get("VERSION_CODENAME", "")


def _make(folder: Path) -> None:
    with step("Making the container images' file trees, once (about 15 s)"):
        _pack(_busybox(folder / "busybox"), folder / "busybox.tar")
        _pack(_python(folder / "python", folder / "mmdebstrap.log"), folder / "python.tar")


def _busybox(root: Path) -> Path:
    commands = root / "bin"
    commands.mkdir(parents=True)
    shutil.copy("/bin/busybox", commands / "busybox")
    names = subprocess.run(["/bin/busybox", "--list"], check=True, capture_output=True, text=True)
    for name in set(names.stdout.split()) - {"busybox"}:
        (commands / name).symlink_to("busybox")
    _complete(root)
    return root


def _python(root: Path, log: Path) -> Path:
    sources = next((path for path in _APT_SOURCES if Path(path).exists()), None)
    if sources is None:
        raise NodeError(
            f"None of {', '.join(_APT_SOURCES)} exists on this machine, so no flow image can be "
            "made; name Debian's package sources there."
        )
    # The packages are only unpacked: their set-up scripts would need many more of them.
    unpack = ["mmdebstrap", "--variant=extract", f"--include={_PACKAGES}", _release()]
    run_long([*unpack, str(root), sources], log)
    for name in _NEVER_READ:
        shutil.rmtree(root / name, ignore_errors=True)
    (root / "usr/bin/python").symlink_to("python3")
    _complete(root)
    library = next((root / "usr/lib").glob("python3.*"))
    compile_all = ["python3", "-m", "compileall", "-q", f"/{library.relative_to(root)}"]
    run_long(["chroot", str(root), *compile_all], log)
    return root


def _complete(root: Path) -> None:
    """Add what every image has: users, and folders that programs take for granted."""
    for name in ("etc", "dev", "proc", "sys", "root", "run", "var/log", "opt/flows"):
        (root / name).mkdir(parents=True, exist_ok=True)
    for name in ("tmp", "var/tmp"):
        (root / name).mkdir(parents=True, exist_ok=True)
        (root / name).chmod(0o1777)
    users = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n"
    (root / "etc/passwd").write_text(users)
    (root / "etc/group").write_text("root:x:0:\nnogroup:x:65534:\n")


def _pack(root: Path, target: Path) -> None:
    command = ["tar", "-C", str(root), "--numeric-owner", "--sort=name", "--exclude=./dev/*"]
    subprocess.run([*command, "-cf", str(target), "."], check=True)
    shutil.rmtree(root)
