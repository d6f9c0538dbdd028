"""Ends programs together with everything that they started.

Each program of the tests leads a process session of its own. A process keeps its session when its
parent dies, so the members of the session are all that is left of the program.

Run as a script, this is the guard: it lives until its standard input ends, which is when whoever
started it has ended, in whatever way, and then ends the sessions and removes the folders named
there. So a killed test run leaves nothing behind.
"""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

_GRACE_SECONDS = 5.0


def members(session: int) -> list[int]:
    """Return the process ids of the session's living members."""
    return [process for process, its_session in _processes() if its_session == session]


def end(session: int, grace_seconds: float = _GRACE_SECONDS) -> None:
    """Ask the session's members to end, and after the grace period end them."""
    _signal(session, signal.SIGTERM)
    if not _wait_until_gone(session, grace_seconds):
        kill(session)


def kill(session: int) -> None:
    """End the session's members at once, as when the container around them is killed."""
    # A member that forks while the others are killed can leave a child: look again.
    while not _wait_until_gone(session, seconds=0):
        _signal(session, signal.SIGKILL)
        _wait_until_gone(session, _GRACE_SECONDS)


class Guard:
    """Ends what it is told to watch when this process has ended, however that happened."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", __file__], stdin=subprocess.PIPE, start_new_session=True
        )

    def watch_session(self, session: int) -> None:
        """End this session one day."""
        self._say(f"session {session}")

    def forget_session(self, session: int) -> None:
        """Leave this session's number alone: it has ended, and others may get the number."""
        self._say(f"ended {session}")

    def watch_folder(self, folder: Path) -> None:
        """Remove this folder one day."""
        self._say(f"folder {folder}")

    def close(self) -> None:
        """End and remove what is being watched, now."""
        # Waits, and closes the pipe first.
        self._process.communicate()

    def _say(self, line: str) -> None:
        assert self._process.stdin is not None
        # A guard that somebody ended is missed when this process dies, not before.
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(f"{line}\n".encode())
            self._process.stdin.flush()


def _processes() -> list[tuple[int, int]]:
    """Return (process id, session id) of all living processes."""
    if not Path("/proc/self/stat").exists():
        return _processes_by_ps()
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit():
            with contextlib.suppress(OSError):
                # pid (name) state parent group session ...; the name may hold anything.
                fields = Path(f"/proc/{name}/stat").read_text().rpartition(")")[2].split()
                if fields[0] not in "ZX":
                    found.append((int(name), int(fields[3])))
    return found


def _processes_by_ps() -> list[tuple[int, int]]:
    listing = subprocess.run(
        ["ps", "-A", "-o", "pid=,stat="], stdout=subprocess.PIPE, text=True, check=True
    )
    found = []
    for line in listing.stdout.splitlines():
        process, state = line.split()
        if not state.startswith("Z"):
            with contextlib.suppress(OSError):
                found.append((int(process), os.getsid(int(process))))
    return found


def _signal(session: int, number: signal.Signals) -> None:
    for process in members(session):
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, number)


def _wait_until_gone(session: int, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while members(session):
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.05)
    return True


def _guard() -> None:
    # Ctrl-C is for whoever is being guarded.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sessions: dict[int, None] = {}
    folders: list[str] = []
    for line in sys.stdin:
        what, _, value = line.strip().partition(" ")
        if what == "session":
            sessions[int(value)] = None
        elif what == "ended":
            sessions.pop(int(value), None)
        else:
            folders.append(value)
    for session in reversed(sessions):
        end(session)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    _guard()
