"""The Debian packages that the node stands on: container runtime, network plugins, tools."""

import os
import shutil
from pathlib import Path

from tests.setup import debian
from tests.support.node.errors import NodeError

# What each package is needed for is told by the file that it must bring.
PACKAGES = {
    "containerd": "containerd",
    "runc": "runc",
    "containernetworking-plugins": "/usr/lib/cni/bridge",
    "busybox-static": "/bin/busybox",
    "mmdebstrap": "mmdebstrap",
    "iproute2": "ip",
    "util-linux": "nsenter",
}


def ensure_packages() -> None:
    """Install the packages that are missing, and say so."""
    if os.geteuid() != 0:
        raise NodeError(
            "The test cluster's own node needs root on this machine; run as root, or name a "
            "cluster of yours in KUBECONFIG."
        )
    missing = [package for package, file in PACKAGES.items() if not _is_present(file)]
    if not missing:
        return
    if not debian.can_install():
        raise NodeError(
            f"The programs of the Debian packages {', '.join(missing)} are missing on this "
            "machine, which has no apt-get; install them, or name a cluster in KUBECONFIG."
        )
    try:
        debian.install(*missing)
    except debian.PackageError as error:
        raise NodeError(str(error)) from error


def _is_present(file: str) -> bool:
    return Path(file).exists() if file.startswith("/") else shutil.which(file) is not None
