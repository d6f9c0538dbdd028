"""A throw-away Redis server of one test run, from the machine's own program: Celery's broker."""

import shutil
import subprocess
import tempfile
from pathlib import Path

from tests.support.airflow.component import Component, ComponentError
from tests.support.airflow.sessions import Guard
from tests.support.wait import wait_for

_START_SECONDS = 30.0


class Redis:
    """One server in a folder of its own; it listens on a socket there and on no port."""

    def __init__(self, guard: Guard) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="flowjob-redis-"))
        guard.watch_folder(self._folder)
        self._socket = self._folder / "redis.sock"
        # One program, which does what its name says. Debian's package of tools has it under the
        # checker's name; the package of the server would start one.
        program = self._folder / "redis-server"
        program.symlink_to(_program())
        # Nothing is saved: what is lost in a crash of the machine was to be thrown away.
        settings = {"port": "0", "unixsocket": str(self._socket), "save": "", "appendonly": "no"}
        options = [part for name, value in settings.items() for part in (f"--{name}", value)]
        self.server = Component(
            "Redis server",
            [str(program), *options],
            log_file=self._folder / "redis.log",
            environment={},
            guard=guard,
        )

    @property
    def url(self) -> str:
        """The address for `[celery] broker_url`."""
        return f"redis+socket://{self._socket}?virtual_host=0"

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        self.server.start()
        wait_for(self._is_ready, "the Redis server to answer", _START_SECONDS)

    def stop(self) -> None:
        """Stop the server and remove all it wrote."""
        self.server.kill()
        shutil.rmtree(self._folder)

    def ask(self, *command: str) -> str:
        """Return the server's answer to a command, as Redis' own client prints it."""
        done = subprocess.run(
            ["redis-cli", "-s", str(self._socket), *command],
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout.strip()

    def _is_ready(self) -> bool:
        self.server.check_running()
        return self.ask("PING") == "PONG"


def _program() -> str:
    found = shutil.which("redis-check-rdb")
    if found is None:
        raise ComponentError(
            "These tests need a Redis server, and this machine has none on the PATH; install "
            "Redis (Debian: redis-tools)."
        )
    return found
