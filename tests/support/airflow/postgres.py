"""A throw-away Postgres server of one test run, from the machine's own programs."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.support.airflow.component import Component, ComponentError
from tests.support.airflow.sessions import Guard
from tests.support.wait import wait_for

_START_SECONDS = 30.0


class Postgres:
    """One server in a folder of its own; it listens on a socket there and on no port."""

    def __init__(self, guard: Guard) -> None:
        self._programs = _programs_folder()
        self._user = _server_user()
        # Not a folder of pytest's, which only the user who runs the tests may enter.
        self._folder = Path(tempfile.mkdtemp(prefix="flowjob-postgres-"))
        guard.watch_folder(self._folder)
        if self._user is not None:
            shutil.chown(self._folder, self._user, self._user)
        self._data = self._folder / "data"
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self._folder),
            # What is lost in a crash of the machine was to be thrown away.
            "fsync": "off",
            "synchronous_commit": "off",
            "full_page_writes": "off",
            "max_connections": "200",
        }
        options = [f"--{name}={value}" for name, value in settings.items()]
        self.server = Component(
            "Postgres server",
            [self._program("postgres"), "-D", str(self._data), *options],
            log_file=self._folder / "postgres.log",
            environment=self._environment(),
            guard=guard,
            user=self._user,
        )

    @property
    def sql_alchemy_conn(self) -> str:
        """The address for `[database] sql_alchemy_conn`."""
        return f"postgresql+psycopg2://airflow@/airflow?host={self._folder}"

    @property
    def sql_alchemy_conn_async(self) -> str:
        """The address for `[database] sql_alchemy_conn_async`."""
        return f"postgresql+asyncpg://airflow@/airflow?host={self._folder}"

    def start(self) -> None:
        """Make a database cluster, start the server, and make the database `airflow`."""
        self._run(
            "initdb", "--username=airflow", "--auth=trust", "--encoding=UTF8", "--locale=C",
            "--no-sync", "--no-instructions", f"--pgdata={self._data}",
        )  # fmt: skip
        self.server.start()
        wait_for(self._is_ready, "the Postgres server to accept connections", _START_SECONDS)
        self._run("createdb", *self._connection(), "airflow")

    def stop(self) -> None:
        """Stop the server and remove all it wrote."""
        try:
            # SIGINT disconnects the clients; SIGTERM would wait for them.
            self.server.ask_to_end(signal.SIGINT)
            self.server.wait_until_ended()
        finally:
            shutil.rmtree(self._folder)

    def dump(self) -> bytes:
        """Return everything in the database `airflow`, as SQL."""
        return self._run("pg_dump", *self._connection(), "airflow")

    def load(self, dump: Path) -> None:
        """Fill the empty database `airflow` from a file with a dump."""
        # Read here and not by the server's user, who may not enter the folder.
        self._run(
            "psql", *self._connection(), "--quiet", "--set=ON_ERROR_STOP=1", "airflow",
            standard_input=dump.read_bytes(),
        )  # fmt: skip

    def _is_ready(self) -> bool:
        self.server.check_running()
        command = [self._program("pg_isready"), "--quiet", *self._connection()]
        return subprocess.run(command, env=self._environment(), check=False).returncode == 0

    def _connection(self) -> Sequence[str]:
        return [f"--host={self._folder}", "--username=airflow"]

    def _program(self, name: str) -> str:
        return str(self._programs / name)

    def _environment(self) -> dict[str, str]:
        # PGHOST and the like of the caller's are for another server.
        return {name: value for name, value in os.environ.items() if not name.startswith("PG")}

    def _run(self, program: str, *arguments: str, standard_input: bytes = b"") -> bytes:
        done = subprocess.run(
            [self._program(program), *arguments],
            env=self._environment(),
            cwd=self._folder,
            input=standard_input,
            capture_output=True,
            user=self._user,
            group=self._user,
            extra_groups=None if self._user is None else [],
            check=False,
        )
        if done.returncode != 0:
            raise ComponentError(
                f"`{program}` of the throw-away Postgres in {self._folder} failed with exit code "
                f"{done.returncode}: {done.stderr.decode(errors='replace').strip()}"
            )
        return done.stdout


def _programs_folder() -> Path:
    """Return the folder with initdb and the others: Debian's, newest first, or the PATH's."""
    debian = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    newest_first = sorted(debian, key=lambda path: float(path.parts[-3]), reverse=True)
    found = newest_first[0] if newest_first else shutil.which("initdb")
    if found is None:
        raise ComponentError(
            "These tests need a Postgres server, and this machine has no `initdb`, neither in "
            "/usr/lib/postgresql nor on the PATH; install Postgres (Debian: postgresql)."
        )
    return Path(found).resolve().parent


def _server_user() -> str | None:
    """Return the user to run the server as, as it refuses to run as root; None: the caller's."""
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres").pw_name
    except KeyError:
        raise ComponentError(
            "Postgres refuses to run as root, and this machine has no user `postgres`; install "
            "Debian's package postgresql, or run the tests as another user."
        ) from None
