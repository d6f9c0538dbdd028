"""The container images of the node: packed from the cached layers and given to containerd.

| image (as pods say) | what it is for |
| --- | --- |
| local/flows:1 | flows: Python, and the checkout's `dags/flows` as the package `flows` |
| local/busybox:1 | shows that a flow needs no Python: a shell and the usual commands |
| local/pause:1 | holds a pod's network (for the container runtime alone) |

Further flow images, which only some tests need, are imported by those.
"""

import hashlib
import io
import json
import platform
import subprocess
import tarfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from tests.support.node.errors import NodeError

FLOW_IMAGE = "local/flows:1"
SHELL_IMAGE = "local/busybox:1"
PAUSE_IMAGE = "local/pause:1"
# dags/sidecar_job_spec.yaml names its sidecar's image itself. The node pulls nothing, so Debian's
# busybox stands in for it.
_SIDECAR_IMAGE = "library/busybox:1.37"

_REGISTRY = "docker.io"
_CHECKOUT = Path(__file__).resolve().parents[3]
_PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_OCI = "application/vnd.oci.image"
# An ignored SIGCHLD is inherited by `sleep`, so the kernel itself reaps orphans of the pod.
_PAUSE = ["sh", "-c", "trap '' CHLD; exec sleep 2147483647"]


@dataclass(frozen=True)
class _Blob:
    """One part of an image: its text in memory, or a file that is too large for that."""

    content: bytes | Path
    digest: str
    size: int

    @classmethod
    def of(cls, content: bytes | Path) -> "_Blob":
        if isinstance(content, bytes):
            return cls(content, hashlib.sha256(content).hexdigest(), len(content))
        with content.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return cls(content, digest, content.stat().st_size)

    def descriptor(self, kind: str) -> dict[str, object]:
        media_type = f"{_OCI}.{kind}"
        return {"mediaType": media_type, "digest": f"sha256:{self.digest}", "size": self.size}


class _Archive:
    """An OCI archive of several images, whose shared layers stand in it once."""

    def __init__(self) -> None:
        self._blobs: dict[str, _Blob] = {}
        self._manifests: list[dict[str, object]] = []

    def add(self, name: str, layers: Sequence[_Blob], config: Mapping[str, object]) -> None:
        architecture = {"x86_64": "amd64", "aarch64": "arm64"}[platform.machine()]
        image_config = {
            "architecture": architecture,
            "os": "linux",
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{x.digest}" for x in layers]},
        }
        config_blob = _Blob.of(json.dumps(image_config).encode())
        manifest = {
            "schemaVersion": 2,
            "mediaType": f"{_OCI}.manifest.v1+json",
            "config": config_blob.descriptor("config.v1+json"),
            "layers": [layer.descriptor("layer.v1.tar") for layer in layers],
        }
        manifest_blob = _Blob.of(json.dumps(manifest).encode())
        for blob in (*layers, config_blob, manifest_blob):
            self._blobs[blob.digest] = blob
        full_name = f"{_REGISTRY}/{name}"
        entry = manifest_blob.descriptor("manifest.v1+json")
        entry["annotations"] = {"io.containerd.image.name": full_name}
        self._manifests.append(entry)

    def write(self, target: IO[bytes]) -> None:
        index = {"schemaVersion": 2, "manifests": self._manifests}
        with tarfile.open(fileobj=target, mode="w|") as archive:
            _add_file(archive, "oci-layout", b'{"imageLayoutVersion":"1.0.0"}')
            _add_file(archive, "index.json", json.dumps(index).encode())
            for blob in self._blobs.values():
                _add_file(archive, f"blobs/sha256/{blob.digest}", blob.content)


def import_images(layers: Path, containerd_socket: Path) -> None:
    """Give the node's images to containerd."""
    shell = [_Blob.of(layers / "busybox.tar")]
    archive = _Archive()
    archive.add(PAUSE_IMAGE, shell, {"Env": [_PATH], "Cmd": _PAUSE})
    for name in (SHELL_IMAGE, _SIDECAR_IMAGE):
        archive.add(name, shell, {"Env": [_PATH], "Cmd": ["sh"]})
    _add_flow_image(archive, FLOW_IMAGE, [layers / "python.tar"])
    _import(archive, containerd_socket)


def import_flow_image(name: str, layers: Sequence[Path], containerd_socket: Path) -> None:
    """Give containerd a further image of flows.

    The checkout's flows stand above the layers, the first of which has Python.
    """
    archive = _Archive()
    _add_flow_image(archive, name, layers)
    _import(archive, containerd_socket)


def import_image(
    name: str, layers: Sequence[Path], config: Mapping[str, object], containerd_socket: Path
) -> None:
    """Give containerd an image of these layers, the lowest first, with a config of OCI's."""
    archive = _Archive()
    archive.add(name, [*map(_Blob.of, layers)], config)
    _import(archive, containerd_socket)


def _add_flow_image(archive: _Archive, name: str, layers: Sequence[Path]) -> None:
    blobs = [*map(_Blob.of, layers), _Blob.of(_flows_layer())]
    environment = [_PATH, "LANG=C.UTF-8", "PYTHONPATH=/opt/flows"]
    archive.add(name, blobs, {"Env": environment, "Cmd": ["python3"]})


def _import(archive: _Archive, containerd_socket: Path) -> None:
    command = ["ctr", "--address", str(containerd_socket), "--namespace", "k8s.io"]
    command += ["images", "import", "-"]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert process.stdin is not None
    # Should ctr stop reading, its own message below says why.
    with suppress(BrokenPipeError):
        archive.write(process.stdin)
    _, errors = process.communicate()
    if process.returncode != 0:
        raise NodeError(
            f"Importing the images into containerd at {containerd_socket} failed; see its log: "
            f"{errors.decode(errors='replace').strip()}"
        )


def image_name_in_containerd(image: str) -> str:
    """Return the full name that the container runtime knows an image by."""
    return f"{_REGISTRY}/{image}"


def _flows_layer() -> bytes:
    """Return the checkout's flows as a layer; an empty one where there are none yet."""
    source = _CHECKOUT / "dags" / "flows"
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        folder = tarfile.TarInfo("opt/flows/flows")
        folder.type, folder.mode = tarfile.DIRTYPE, 0o755
        archive.addfile(folder)
        for path in sorted(source.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                name = f"opt/flows/flows/{path.relative_to(source)}"
                _add_file(archive, name, path.read_bytes(), path.stat().st_mode & 0o755 | 0o444)
    return buffer.getvalue()


def _add_file(
    archive: tarfile.TarFile, name: str, content: bytes | Path, mode: int = 0o644
) -> None:
    entry = tarfile.TarInfo(name)
    entry.mode = mode
    if isinstance(content, bytes):
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    else:
        entry.size = content.stat().st_size
        with content.open("rb") as file:
            archive.addfile(entry, file)
