"""The node's own control group, below which the kubelet makes those of the pods.

With cgroup v1 there is one of that name in each controller's hierarchy, with v2 there is one.
"""

import hashlib
from pathlib import Path

from tests.support.node.errors import NodeError
from tests.support.wait import wait_for

_ROOT = Path("/sys/fs/cgroup")
# The kubelet refuses to start where the machine has one of these and its group has not.
_V2_CONTROLLERS = ("cpu", "cpuset", "hugetlb", "memory", "pids")


def cgroup_name(folder: Path) -> str:
    """Return the name of the control group of the node in `folder`."""
    return f"flowjob-{hashlib.sha256(str(folder).encode()).hexdigest()[:12]}"


def create_cgroups(folder: Path) -> None:
    """Create the control group, ready for the kubelet."""
    try:
        for hierarchy in _hierarchies():
            group = hierarchy / cgroup_name(folder)
            if _is_v2(hierarchy):
                _enable_controllers(hierarchy)
            group.mkdir(exist_ok=True)
            if (group / "cpuset.cpus").exists() and not _is_v2(hierarchy):
                # In v1 a new group may use no processor until it is told which.
                for file in ("cpuset.cpus", "cpuset.mems"):
                    (group / file).write_text((hierarchy / file).read_text())
    except OSError as error:
        raise NodeError(
            f"A control group could not be created below {_ROOT} ({error}); run where root may "
            "write there."
        ) from error


def remove_cgroups(folder: Path) -> None:
    """Remove the control group and all below it; its processes must have ended."""
    wait_for(lambda: _remove(folder), f"the control groups of {folder} to be removable", 15)


def existing_cgroups(folder: Path) -> list[Path]:
    """Return the control group's folder in each hierarchy where it exists."""
    name = cgroup_name(folder)
    return [hierarchy / name for hierarchy in _all_mounts() if (hierarchy / name).is_dir()]


def _remove(folder: Path) -> bool:
    for top in existing_cgroups(folder):
        below = sorted((path for path in top.rglob("*") if path.is_dir()), reverse=True)
        for group in (*below, top):
            try:
                group.rmdir()
            except FileNotFoundError:
                pass
            except OSError:
                return False  # the kernel still counts a process that has just ended
    return True


def _hierarchies() -> list[Path]:
    if _is_v2(_ROOT):
        return [_ROOT]
    # A v2 hierarchy mounted beside those of v1 has no controllers, so nothing needs it.
    return [path for path in _all_mounts() if not _is_v2(path)]


def _all_mounts() -> list[Path]:
    if _is_v2(_ROOT):
        return [_ROOT]
    return [path for path in _ROOT.iterdir() if path.is_dir() and not path.is_symlink()]


def _is_v2(hierarchy: Path) -> bool:
    return (hierarchy / "cgroup.controllers").exists()


def _enable_controllers(hierarchy: Path) -> None:
    present = set((hierarchy / "cgroup.controllers").read_text().split())
    enabled = set((hierarchy / "cgroup.subtree_control").read_text().split())
    missing = (set(_V2_CONTROLLERS) & present) - enabled
    if missing:
        changes = " ".join(f"+{controller}" for controller in sorted(missing))
        (hierarchy / "cgroup.subtree_control").write_text(changes)
