"""A long-running program of a system under test, which a test can kill and start again."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support.airflow import sessions


class ComponentError(RuntimeError):
    """Says in one sentence which program failed and how, with the tail of its log."""


class Component:
    """One program, the leader of a process session of its own, with its output in a file."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        log_file: Path,
        environment: Mapping[str, str],
        guard: sessions.Guard,
        user: str | None = None,
    ) -> None:
        self.name = name
        self.log_file = log_file
        self._command = command
        self._environment = environment
        self._guard = guard
        self._user = user
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def process_id(self) -> int:
        """The id of the running program's first process, which is its session's id, too."""
        if self._process is None:
            raise ComponentError(f"The {self.name} is not running; start() it first.")
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether the program's first process lives."""
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the program; its log goes on where it ended."""
        if self.is_running:
            raise ComponentError(
                f"The {self.name} is running already (process {self.process_id}); kill() or "
                "terminate() it before starting it again."
            )
        self.kill()
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                self._command,
                env=dict(self._environment),
                # Not the caller's folder: Python would import what lies there.
                cwd=self.log_file.parent,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                user=self._user,
                group=self._user,
                extra_groups=None if self._user is None else [],
            )
        self._guard.watch_session(self._process.pid)

    def check_running(self) -> None:
        """Raise an error with the log's tail if the program has ended by itself."""
        if self._process is not None and self._process.poll() is not None:
            raise ComponentError(
                f"The {self.name} ended with exit code {self._process.returncode}; the end of "
                f"its log {self.log_file} says why:\n{self.log_tail()}"
            )

    def kill(self) -> None:
        """End the program and all it started at once, as when its machine is lost."""
        if self._process is not None:
            sessions.kill(self._process.pid)
            self._process.wait()
            self._guard.forget_session(self._process.pid)
            self._process = None

    def ask_to_end(self, stop_signal: signal.Signals = signal.SIGTERM) -> None:
        """Send the program's first process a signal, and do not wait."""
        if self.is_running:
            os.kill(self.process_id, stop_signal)

    def wait_until_ended(self, timeout: float = 30.0) -> None:
        """Wait until the program has ended; what it leaves behind is killed."""
        if self._process is None:
            return
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise ComponentError(
                f"The {self.name} did not end within {timeout:g} s of being asked to, and was "
                f"killed; see what it waited for in {self.log_file}:\n{self.log_tail()}"
            ) from None
        finally:
            self.kill()

    def terminate(self, timeout: float = 30.0) -> None:
        """Ask the program to end, and wait until it has."""
        self.ask_to_end()
        self.wait_until_ended(timeout)

    def log_tail(self, lines: int = 30) -> str:
        """Return the last lines of the program's output."""
        if not self.log_file.exists():
            return "(no log)"
        return "\n".join(self.log_file.read_text(errors="replace").splitlines()[-lines:])
