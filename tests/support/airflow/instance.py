"""A real Airflow of one's own: its four programs as child processes, and its database."""

import fcntl
import json
import os
import secrets
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from importlib import metadata
from pathlib import Path

import httpx
from sqlalchemy import Engine, NullPool, create_engine

from tests.support.airflow.client import AirflowClient
from tests.support.airflow.component import Component, ComponentError
from tests.support.airflow.postgres import Postgres
from tests.support.airflow.sessions import Guard
from tests.support.free_port import free_port
from tests.support.node.cache import cache_folder, make_once
from tests.support.wait import wait_for

_START_SECONDS = 180.0
_AIRFLOW = (sys.executable, "-m", "airflow")
# It would listen to the whole network; all read the logs from the one folder.
_NO_LOG_SERVER = "--skip-serve-logs"
# A page that answers, whatever is asked of it.
CONSOLE = "/api/v2/version?of="
_CONSOLES = (
    ("job", "&namespace={namespace}&name={job_name}"),
    ("log", "&id={flow_run_id}&pod={pod}&node={node}&from={started_at}&to={finished_at}"),
)
# What the health report calls the programs other than the API server.
_HEALTH_NAMES = ("scheduler", "dag_processor", "triggerer")


def kubernetes_connection(kubeconfig: Path, namespace: str | None = None) -> dict[str, str]:
    """Return the environment that holds the connection `kubernetes_default` to a cluster."""
    extra = {"kube_config_path": str(kubeconfig)}
    if namespace is not None:
        extra["namespace"] = namespace
    connection = {"conn_type": "kubernetes", "extra": extra}
    return {"AIRFLOW_CONN_KUBERNETES_DEFAULT": json.dumps(connection)}


@contextmanager
def running_airflow(
    home: Path,
    dags_folders: Mapping[str, Path],
    *,
    on_postgres: bool,
    environment: Mapping[str, str],
    host: str = "127.0.0.1",
) -> Iterator["AirflowInstance"]:
    """Run an Airflow, and a Postgres server for it where asked, until the block ends."""
    guard = Guard()
    with ExitStack() as ending:
        ending.callback(guard.close)
        postgres = None
        if on_postgres:
            postgres = Postgres(guard)
            ending.callback(postgres.stop)
            postgres.start()
        instance = AirflowInstance(
            home, dags_folders, guard=guard, postgres=postgres, environment=environment, host=host
        )
        ending.callback(instance.stop)
        instance.start()
        yield instance


class AirflowInstance:
    """One Airflow with the LocalExecutor, on SQLite or on the Postgres server given.

    It is reached on this machine only, by the address `host`, and lives in `home`, with the
    processes' own logs in `home/components`. `dags_folders` become DAG bundles, by their names.
    `environment` holds further variables for all of its processes; a setting there
    (`AIRFLOW__SECTION__KEY`) wins over the one made here.
    """

    def __init__(
        self,
        home: Path,
        dags_folders: Mapping[str, Path],
        *,
        guard: Guard,
        postgres: Postgres | None = None,
        environment: Mapping[str, str] | None = None,
        host: str = "127.0.0.1",
    ) -> None:
        self.home = home.resolve()
        self.host, self.port = host, free_port()
        self.url = f"http://{host}:{self.port}"
        self._postgres = postgres
        self.environment = {
            # Settings of another Airflow of the caller's have no say here; and an installed package
            # is compiled once, not by each task's process.
            **{n: v for n, v in os.environ.items() if not n.startswith(("AIRFLOW", "PYTHONDONT"))},
            **self._settings(dags_folders),
            **(environment or {}),
        }
        self._logs = self.home / "components"
        self._logs.mkdir(parents=True)
        self._guard = guard
        self._others: list[Component] = []
        self.api_server = self._component("api-server")
        self.scheduler = self._component("scheduler", _NO_LOG_SERVER)
        self.dag_processor = self._component("dag-processor")
        self.triggerer = self._component("triggerer", _NO_LOG_SERVER)
        self.client = AirflowClient(self.url, self._evidence)

    @property
    def components(self) -> tuple[Component, ...]:
        """The four programs, and those that were added."""
        four = (self.api_server, self.scheduler, self.dag_processor, self.triggerer)
        return (*four, *self._others)

    def start(self) -> None:
        """Create the database, start the four programs, and wait until all report health.

        One Airflow after the other: each keeps all of a small machine busy until it is up.
        """
        with (cache_folder() / "airflow-start.lock").open("w") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            self.launch()
            self.wait_until_healthy()
            self.client.prepare_for_tasks(_START_SECONDS)

    def another_api_server(self, log_file: Path, settings: Mapping[str, str]) -> Component:
        """Return a further API server of this Airflow, with some settings of its own."""
        return Component(
            "Airflow api-server (another)",
            [*_AIRFLOW, "api-server"],
            log_file=log_file,
            environment={**self.environment, **settings},
            guard=self._guard,
        )

    def add(self, name: str, *command: str) -> Component:
        """Start a further program of this Airflow, as of another machine: `airflow` `command`."""
        component = Component(
            f"Airflow {name}",
            [*_AIRFLOW, *command, _NO_LOG_SERVER],
            log_file=self._logs / f"{name}.log",
            environment=self.environment,
            guard=self._guard,
        )
        self._others.append(component)
        component.start()
        return component

    def launch(self) -> None:
        """Create the database and start the four programs, without waiting for them."""
        self._create_database()
        for component in self.components:
            component.start()

    def wait_until_healthy(self, timeout: float = _START_SECONDS) -> None:
        """Wait until the API server answers and the other programs report health through it."""
        try:
            wait_for(self._is_healthy, "Airflow to report health", timeout, interval=0.2)
        except TimeoutError as error:
            raise ComponentError(f"{error} The ends of its logs:\n{self._evidence()}") from None

    def stop(self) -> None:
        """Kill all processes: nothing here outlives the test, so there is nothing to save."""
        self.client.close()
        for component in self.components:
            component.kill()

    def cli(self, *arguments: str, timeout: float = 120.0) -> str:
        """Run the `airflow` command as this instance's user would, and return what it prints."""
        done = subprocess.run(
            [*_AIRFLOW, *arguments],
            env=self.environment,
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if done.returncode != 0:
            raise ComponentError(
                f"`airflow {' '.join(arguments)}` ended with exit code {done.returncode}:\n"
                f"{done.stdout}\n{done.stderr}"
            )
        return done.stdout

    def database_dump(self) -> bytes:
        """Return everything in the metadata database, as SQL and as it lies on the disk."""
        if self._postgres is not None:
            return self._postgres.dump()
        with sqlite3.connect(self._sqlite_file) as connection:
            statements = "\n".join(connection.iterdump())
        files = sorted(self.home.glob(f"{self._sqlite_file.name}*"))
        return statements.encode() + b"".join(file.read_bytes() for file in files)

    def database(self) -> Engine:
        """Return a way into the metadata database, which is on Postgres."""
        assert self._postgres is not None
        return create_engine(self._postgres.sql_alchemy_conn, poolclass=NullPool)

    def trigger_logs(self, dag_id: str) -> list[Path]:
        """Return the log files that triggers of this DAG have begun, one for each trigger."""
        folder = self.home / "logs" / f"dag_id={dag_id}"
        return list(folder.rglob("*.trigger.*.log"))

    def all_logs(self) -> Iterator[tuple[Path, bytes]]:
        """Yield each log file and its content: of the tasks and of Airflow's own programs."""
        for folder in (self.home / "logs", self._logs):
            for file in sorted(folder.rglob("*")):
                if file.is_file():
                    yield file, file.read_bytes()

    def _create_database(self) -> None:
        """Create the tables: by Airflow's migrations the first time, then from the cache."""
        kind = "sqlite" if self._postgres is None else "postgres"
        name = f"airflow-{kind}-{metadata.version('apache-airflow-core')}"
        migrated = []

        def make(folder: Path) -> None:
            migrated.append(self.cli("db", "migrate"))
            if self._postgres is None:
                shutil.copyfile(self._sqlite_file, folder / "database")
            else:
                (folder / "database").write_bytes(self._postgres.dump())

        saved = make_once(name, make) / "database"
        if migrated:
            return
        if self._postgres is None:
            shutil.copyfile(saved, self._sqlite_file)
        else:
            self._postgres.load(saved)

    @property
    def _sqlite_file(self) -> Path:
        return self.home / "airflow.db"

    def _component(self, name: str, *arguments: str) -> Component:
        return Component(
            f"Airflow {name}",
            [*_AIRFLOW, name, *arguments],
            log_file=self._logs / f"{name}.log",
            environment=self.environment,
            guard=self._guard,
        )

    def _is_healthy(self) -> bool:
        for component in self.components:
            component.check_running()
        try:
            health = self.client.health()
        except httpx.HTTPError:
            return False
        return all(health[name]["status"] == "healthy" for name in _HEALTH_NAMES)

    def _evidence(self) -> str:
        parts = [f"== {component.name}\n{component.log_tail()}" for component in self.components]
        return "\n".join(parts)

    def _settings(self, dags_folders: Mapping[str, Path]) -> dict[str, str]:
        bundles = [
            {
                "name": name,
                "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
                "kwargs": {"path": str(folder.resolve())},
            }
            for name, folder in dags_folders.items()
        ]
        settings: dict[str, dict[str, object]] = {
            "api": {"base_url": self.url, "host": self.host, "port": self.port, "workers": 1}
            | {"secret_key": secrets.token_hex()},
            "api_auth": {"jwt_secret": secrets.token_hex()},
            "core": {
                "execution_api_server_url": f"{self.url}/execution/",
                "executor": "LocalExecutor",
                # None: nothing is encrypted, so that a dump shows all that is stored.
                "fernet_key": "",
                # The default asks the network's name servers.
                "hostname_callable": "socket.gethostname",
                "load_examples": False,
                "parallelism": 16,
                "simple_auth_manager_all_admins": True,
                # The button "Test" of a connection.
                "test_connection": "Enabled",
            },
            "dag_processor": {
                "bundle_refresh_check_interval": 1,
                "dag_bundle_config_list": json.dumps(bundles),
                "dag_bundle_storage_path": self.home / "bundles",
                # A new or changed file is read at the next refresh all the same.
                "min_file_process_interval": 300,
                "refresh_interval": 10,
            },
            "database": {**self._database_settings()},
            "flowjob": {"airflow_name": f"test-{secrets.token_hex(8)}", "preload": True}
            # Consoles that are here: a page of Airflow's own that needs no console's data.
            | {f"{kind}_url": f"{self.url}{CONSOLE}{kind}" + query for kind, query in _CONSOLES},
            "logging": {"base_log_folder": self.home / "logs"},
            "scheduler": {
                "job_heartbeat_sec": 2,
                "scheduler_heartbeat_sec": 2,
                "scheduler_idle_sleep_time": 0.5,
            },
            "triggerer": {"job_heartbeat_sec": 2},
            "usage_data_collection": {"enabled": False},
            "workers": {
                # Airflow asks twice where a busy machine's answer takes longer.
                "execution_api_timeout": 30,
                # A supervisor that misses the end of its task's process sees it so much later.
                "min_heartbeat_interval": 2,
            },
        }
        return {"AIRFLOW_HOME": str(self.home)} | {
            f"AIRFLOW__{section.upper()}__{key.upper()}": str(value)
            for section, values in settings.items()
            for key, value in values.items()
        }

    def _database_settings(self) -> dict[str, str]:
        if self._postgres is None:
            return {"sql_alchemy_conn": f"sqlite:///{self._sqlite_file}"}
        return {
            "sql_alchemy_conn": self._postgres.sql_alchemy_conn,
            "sql_alchemy_conn_async": self._postgres.sql_alchemy_conn_async,
            # As many as the API server has threads: who waits too long for one gets an error.
            "sql_alchemy_pool_size": "40",
        }
