"""What a node can be seen by on the machine: for the tests that nothing of it is left."""

import re
import shutil
import subprocess
from pathlib import Path

from tests.support.node import processes
from tests.support.node.cgroups import cgroup_name, existing_cgroups
from tests.support.node.network import bridges

_SETTINGS = (
    "/proc/sys/net/ipv4/ip_forward",
    "/proc/sys/vm/overcommit_memory",
    "/proc/sys/kernel/panic",
    "/proc/sys/kernel/panic_on_oops",
    "/proc/sys/kernel/keys/root_maxkeys",
)
# Where a kubelet or a container runtime leaves links, sockets, leases and state by default.
_FOLDERS = (
    "/run/containerd",
    "/run/netns",
    "/var/lib/cni",
    "/var/lib/kubelet",
    "/var/log/containers",
    "/var/log/pods",
    "/opt/containerd",
    "/usr/libexec/kubernetes",
)


def traces(folder: Path) -> list[str]:
    """Return all that is left of the node in `folder`: nothing, once it is stopped."""
    found = [f"process {pid}" for pid in [*processes.find(folder), *container_processes(folder)]]
    found += [f"mount {line}" for line in _mounts() if str(folder) in line]
    found += [f"bridge {name}" for name in bridges(folder)]
    found += [f"control group {path}" for path in existing_cgroups(folder)]
    return [*found, str(folder)] if folder.exists() else found


def machine_state() -> dict[str, str]:
    """Return what a node may not change on the machine, and no other node changes either."""
    state = {path: Path(path).read_text() for path in _SETTINGS}
    for folder in _FOLDERS:
        state[folder] = "\n".join(sorted(str(path) for path in Path(folder).rglob("*")))
        state[f"{folder} exists"] = str(Path(folder).exists())
    for program in ("iptables-save", "ip6tables-save"):
        if shutil.which(program) is not None:
            rules = subprocess.run([program], capture_output=True, text=True, check=True).stdout
            state[program] = re.sub(r"^#.*$|\[\d+:\d+\]", "", rules, flags=re.MULTILINE)
    return state


def container_processes(folder: Path) -> list[int]:
    """Return the pids of the processes in the node's containers."""
    name = f"/{cgroup_name(folder)}/".encode()
    return [
        int(path.parent.name) for path in Path("/proc").glob("[0-9]*/cgroup") if name in _read(path)
    ]


def network_namespaces(pids: list[int]) -> set[str]:
    """Return the network namespaces that these processes are in."""
    return {str(Path(f"/proc/{pid}/ns/net").readlink()) for pid in pids}


def all_network_namespaces() -> set[str]:
    """Return every network namespace that a process is in or a mount holds."""
    pids = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]
    held = {found for line in _mounts() for found in re.findall(r"net:\[\d+\]", line)}
    for pid in pids:
        try:
            held |= network_namespaces([pid])
        except OSError:
            continue  # it has just ended
    return held


def listening_addresses(folder: Path) -> set[str]:
    """Return the addresses that the node's processes listen on, without their ports."""
    listed = subprocess.run(
        ["ss", "--listening", "--tcp", "--udp", "--numeric", "--processes", "--no-header"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    own = set(processes.find(folder))
    return {
        line.split()[4].rpartition(":")[0]
        for line in listed.splitlines()
        if own & {int(pid) for pid in re.findall(r"pid=(\d+)", line)}
    }


def _mounts() -> list[str]:
    mounts = set()
    for path in Path("/proc").glob("[0-9]*/mountinfo"):
        mounts |= set(_read(path).decode(errors="replace").splitlines())
    return sorted(mounts)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""  # the process has just ended
