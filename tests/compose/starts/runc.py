#!/usr/bin/env python3
"""As runc, for machines that are containers themselves: nobody is given what this machine lacks.

A privileged container gets all capabilities there are, which fails where root has not got them all.
"""

import json
import os
import sys
from pathlib import Path

# As linux/capability.h numbers them.
NAMES = (
    "CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID SETPCAP LINUX_IMMUTABLE "
    "NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO "
    "SYS_CHROOT SYS_PTRACE SYS_PACCT SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME "
    "SYS_TTY_CONFIG MKNOD LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG "
    "WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE"
)


def own_capabilities() -> set[str]:
    """Return what root has here."""
    status = Path("/proc/self/status").read_text()
    (bounds,) = (line.split()[1] for line in status.splitlines() if line.startswith("CapBnd"))
    return {
        f"CAP_{name}" for number, name in enumerate(NAMES.split()) if int(bounds, 16) >> number & 1
    }


def limit(file: Path, *keys: str) -> None:
    """Take from the process in a file, which is found by keys, what root has not got."""
    content = process = json.loads(file.read_text())
    for key in keys:
        process = process[key]
    own = own_capabilities()
    for kind, wanted in process.get("capabilities", {}).items():
        process["capabilities"][kind] = [each for each in wanted if each in own]
    file.write_text(json.dumps(content))


if "--bundle" in sys.argv:
    limit(Path(sys.argv[sys.argv.index("--bundle") + 1]) / "config.json", "process")
if "--process" in sys.argv:
    limit(Path(sys.argv[sys.argv.index("--process") + 1]))
os.execvp("runc", ["runc", *sys.argv[1:]])
