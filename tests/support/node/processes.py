"""Finds and signals the node's processes, and no others.

Each of them carries the node's folder in its environment. A process is held by a descriptor while
that mark is read and the signal sent, so a pid that went to another process does no harm.
"""

import os
import select
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.support.wait import wait_for

MARK = "FLOWJOB_NODE"


def environment(folder: Path) -> dict[str, str]:
    """Return the whole environment of a process of the node in `folder`."""
    # Nothing else of the user's: above all no proxy between the node's own components.
    search = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    return {MARK: str(folder), "PATH": search, "HOME": str(folder), "LANG": "C.UTF-8"}


def find(folder: Path, program: str | None = None) -> list[int]:
    """Return the pids of the node's living processes; only those that run `program`, if named."""
    pids = [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit()]
    return [pid for pid in pids if _belongs(pid, folder, program)]


def send(folder: Path, program: str, number: signal.Signals) -> bool:
    """Send a signal to the node's processes that run `program`; say whether there was one."""
    with _held(folder, program) as descriptors:
        _signal(descriptors, number)
        return bool(descriptors)


def end(folder: Path, program: str, number: signal.Signals, seconds: float) -> bool:
    """Like `send`, and wait until those processes have ended."""
    with _held(folder, program) as descriptors:
        _signal(descriptors, number)
        # A paused process hears of a polite end only when it goes on.
        _signal(descriptors, signal.SIGCONT)
        _await_end(descriptors, f"{program} of {folder} to end", seconds)
        return bool(descriptors)


def kill_all(folder: Path) -> None:
    """Kill every process of the node, and wait until none is left."""

    def none_left() -> bool:
        with _held(folder, None) as descriptors:
            _signal(descriptors, signal.SIGKILL)
            _await_end(descriptors, f"the processes of {folder} to end", 20)
            return not descriptors

    wait_for(none_left, f"the processes of {folder} to end", 20)


@contextmanager
def _held(folder: Path, program: str | None) -> Iterator[list[int]]:
    """Give a descriptor of each of these processes, which no other process can take over."""
    descriptors = []
    try:
        for pid in find(folder, program):
            with suppress(ProcessLookupError):
                descriptors.append(os.pidfd_open(pid))
                # It may have been another's by the time it was opened.
                if not _belongs(pid, folder, program):
                    os.close(descriptors.pop())
        yield descriptors
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _signal(descriptors: list[int], number: signal.Signals) -> None:
    for descriptor in descriptors:
        with suppress(ProcessLookupError):
            signal.pidfd_send_signal(descriptor, number)


def _await_end(descriptors: list[int], what: str, seconds: float) -> None:
    # Not by looking for the mark: a process loses that before it lets go of its ports.
    poll = select.poll()
    for descriptor in descriptors:
        poll.register(descriptor, select.POLLIN)

    def all_ended() -> bool:
        return len(poll.poll(0)) == len(descriptors)

    wait_for(all_ended, what, seconds)


def _belongs(pid: int, folder: Path, program: str | None) -> bool:
    process = Path("/proc") / str(pid)
    try:
        marked = f"{MARK}={folder}".encode() in (process / "environ").read_bytes().split(b"\0")
        return marked and program in (None, (process / "exe").readlink().name)
    except OSError:
        return False  # it has just ended, or is the kernel's own
