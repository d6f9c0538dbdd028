"""The one node and the one Airflow that all of those measured share.

Airflow has Postgres, the LocalExecutor, and its own default intervals where the tests have shorter
ones; nothing is preloaded.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from airflow.configuration import conf
from kubernetes import client, config, watch
from sqlalchemy import Engine, text

from tests.bench.accounts import NAMESPACE, Accounts
from tests.bench.contenders import NO_OPS, NOTHING, NOTHING_DAYS, SCENES
from tests.bench.image import IMAGE, import_bench_image
from tests.support.airflow.instance import AirflowInstance, running_airflow
from tests.support.node.node import Node, running_node
from tests.support.node.progress import step

CHECKOUT = Path(__file__).parents[2]
DAGS = Path(__file__).parent / "side_by_side_dags"
_DEFAULTS = (
    ("dag_processor", "bundle_refresh_check_interval"),
    ("dag_processor", "refresh_interval"),
    ("scheduler", "job_heartbeat_sec"),
    ("scheduler", "scheduler_heartbeat_sec"),
    ("scheduler", "scheduler_idle_sleep_time"),
    ("triggerer", "job_heartbeat_sec"),
    ("workers", "execution_api_timeout"),
    ("workers", "min_heartbeat_interval"),
)
# Seconds.
_POLL = 0.25
_PATIENCE = 300.0


@dataclass(frozen=True)
class Ended:
    """A DAG run of one task that has ended.

    :param seconds: from its trigger to the end of its task.
    """

    state: str
    seconds: float
    task_seconds: float


class Stage:
    """The node and the Airflow, and the runs of DAGs there."""

    def __init__(self, node: Node, airflow: AirflowInstance, accounts: Accounts) -> None:
        self.node, self.airflow, self.accounts = node, airflow, accounts
        self._database: Engine = airflow.database()
        api = config.new_client_from_config(str(node.kubeconfig))
        self._batch, self._api = client.BatchV1Api(api), api

    @property
    def sessions(self) -> list[int]:
        """The process sessions of Airflow's programs."""
        return [component.process_id for component in self.airflow.components]

    def trigger(self, dag_id: str) -> str:
        """Start a run, and return its id."""
        body = {"logical_date": None}
        path = f"dags/{dag_id}/dagRuns"
        run_id: str = self.airflow.client.request("POST", path, json=body)["dag_run_id"]
        return run_id

    def run(self, dag_id: str) -> Ended:
        """Start a run, and wait for its end."""
        (ended,) = self.run_at_once([dag_id])
        return ended

    def run_at_once(self, dag_ids: Sequence[str]) -> list[Ended]:
        """Start a run of each, and wait for the ends of all."""
        runs = [(dag_id, self.trigger(dag_id)) for dag_id in dag_ids]
        return [self._end(*run) for run in runs]

    def ended(self, dag_id: str, run_id: str) -> Ended | None:
        """Return how the run has ended; None where it has not."""
        # Not through Airflow's API server: to be asked so often costs it more than a task does.
        query = text(
            "SELECT task.state, extract(epoch FROM task.end_date - run.queued_at), "
            "extract(epoch FROM task.end_date - task.start_date) "
            "FROM dag_run run JOIN task_instance task USING (dag_id, run_id) "
            "WHERE dag_id = :dag_id AND run_id = :run_id AND run.state IN ('success', 'failed')"
        )
        with self._database.connect() as connection:
            row = connection.execute(query, {"dag_id": dag_id, "run_id": run_id}).one_or_none()
        return None if row is None else Ended(row[0], float(row[1]), float(row[2] or 0))

    def task_process(self, dag_id: str, run_id: str) -> int | None:
        """Return the process of the run's task, once it has one."""
        query = text("SELECT pid FROM task_instance WHERE dag_id = :dag_id AND run_id = :run_id")
        with self._database.connect() as connection:
            found: int | None = connection.execute(
                query, {"dag_id": dag_id, "run_id": run_id}
            ).scalar_one_or_none()
        return found

    def task_log(self, dag_id: str, run_id_part: str = "") -> bytes:
        """Return what the logs of the DAG's tasks have, as the files lie on the disk."""
        folder = self.airflow.home / "logs" / f"dag_id={dag_id}"
        files = [file for file in sorted(folder.rglob("*.log")) if run_id_part in str(file)]
        return b"".join(file.read_bytes() for file in files)

    def _end(self, dag_id: str, run_id: str) -> Ended:
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline:
            ended = self.ended(dag_id, run_id)
            if ended is not None:
                return ended
            time.sleep(_POLL)
        evidence = self.airflow.client.run_evidence(dag_id, run_id)
        raise TimeoutError(f"Waited {_PATIENCE:g} s in vain for a run of {dag_id}:\n{evidence}")

    def backfill(self, dag_id: str, days: int, at_once: int) -> float:
        """Run so many days; return the seconds from asking for them to the last task's end."""
        body = {
            "dag_id": dag_id,
            "from_date": "2025-01-01T00:00:00Z",
            "to_date": f"{_day(days - 1)}T00:00:00Z",
            "max_active_runs": at_once,
        }
        began = time.time()
        self.airflow.client.request("POST", "backfills", json=body)
        query = text(
            "SELECT count(*) FILTER (WHERE task.state = 'success'), "
            "count(*) FILTER (WHERE run.state IN ('success', 'failed')), "
            "extract(epoch FROM max(task.end_date)) "
            "FROM dag_run run JOIN task_instance task USING (dag_id, run_id) "
            "WHERE dag_id = :dag_id AND run.run_type = 'backfill'"
        )
        deadline = time.monotonic() + _PATIENCE + 10 * days
        while time.monotonic() < deadline:
            with self._database.connect() as connection:
                good, ended, last = connection.execute(query, {"dag_id": dag_id}).one()
            if ended == days:
                assert good == days, f"{days - good} runs of {dag_id} have failed"
                return float(last) - began
            time.sleep(1)
        raise TimeoutError(f"Waited in vain for {days} runs of {dag_id}.")

    def bare_job(self) -> float:
        """Run a Job that does nothing, without Airflow; return the seconds until it is Complete."""
        container = {"name": "flow-container", "image": IMAGE, "command": ["true"]}
        pod = {"containers": [container], "restartPolicy": "Never"}
        body = {
            "metadata": {"generateName": "bare-"},
            "spec": {"backoffLimit": 0, "template": {"spec": pod}},
        }
        began = time.monotonic()
        job = self._batch.create_namespaced_job(NAMESPACE, body)
        name = job.metadata.name
        events = watch.Watch().stream(
            self._batch.list_namespaced_job,
            NAMESPACE,
            field_selector=f"metadata.name={name}",
            timeout_seconds=60,
        )
        for event in events:
            conditions = event["object"].status.conditions or []
            if any(c.type == "Complete" and c.status == "True" for c in conditions):
                return time.monotonic() - began
        raise TimeoutError(f"The Job {name} is not Complete after 60 s.")


@contextmanager
def running_stage() -> Iterator[Stage]:
    """Run node and Airflow until the block ends, with all DAGs unpaused."""
    with ExitStack() as ending:
        folder = Path(ending.enter_context(tempfile.TemporaryDirectory(prefix="flowjob-bench-")))
        with step("Starting a node, with a service account for each"):
            node = ending.enter_context(running_node())
            import_bench_image(node)
            accounts = Accounts(node, folder)
            environment = _settings()
            for scene in SCENES:
                environment |= accounts.connection(scene.dag_id, scene.account)
        with step("Starting Airflow"):
            home = folder / "airflow"
            home.mkdir()
            folders = {"side-by-side": DAGS}
            airflow = ending.enter_context(
                running_airflow(home, folders, on_postgres=True, environment=environment)
            )
            for dag_id in (*(scene.dag_id for scene in SCENES), NOTHING, NOTHING_DAYS):
                airflow.client.wait_for_dag(dag_id, _PATIENCE)
                airflow.client.request("PATCH", f"dags/{dag_id}", json={"is_paused": False})
        stage = Stage(node, airflow, accounts)
        with step("Running each once, as the first time costs more"):
            stage.run_at_once([NOTHING, *(scene.dag_id for scene in NO_OPS)])
        yield stage


def _settings() -> dict[str, str]:
    """Return the environment in which Airflow has its own defaults again."""
    defaults = {
        f"AIRFLOW__{section.upper()}__{key.upper()}": str(conf.get_default_value(section, key))
        for section, key in _DEFAULTS
    }
    of_dags = {"PYTHONPATH": str(CHECKOUT), "BENCH_IMAGE": IMAGE}
    return {**defaults, **of_dags, "AIRFLOW__FLOWJOB__PRELOAD": "False"}


def _day(number: int) -> str:
    return (date(2025, 1, 1) + timedelta(days=number)).isoformat()
