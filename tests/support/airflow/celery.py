"""Celery's part of an Airflow: a broker, and workers as if on machines of their own."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from tests.setup import debian
from tests.support.airflow.component import Component
from tests.support.airflow.fixtures import NewAirflow
from tests.support.airflow.instance import AirflowInstance
from tests.support.airflow.redis import Redis
from tests.support.airflow.sessions import Guard
from tests.support.airflow.world import FRAGILE, Run
from tests.support.wait import wait_for

# Seconds after which the broker gives a message that nobody has acknowledged to another worker; a
# worker acknowledges one when its task has ended.
VISIBILITY_TIMEOUT = 15
_TRANSPORT = {
    "visibility_timeout": VISIBILITY_TIMEOUT,
    # By default a worker looks for such messages every ten seconds, and then at each tenth look.
    "unacked_restore_interval": 2,
    "unacked_restore_throttle": 1,
}
_READY_SECONDS = 90.0
_DRAINED = "Warm shutdown"


class Worker:
    """One of the workers: a main process, and its children that run tasks (prefork)."""

    def __init__(self, airflow: AirflowInstance, name: str) -> None:
        self.name = name
        # How often it was ready before it was killed or drained.
        self._lives = 0
        command = ("celery", "worker", "--celery-hostname", name, "--concurrency", "6")
        self.component: Component = airflow.add(f"Celery worker {name}", *command)

    def has(self, run: Run) -> bool:
        """Whether this is the worker in which the run's task has a process."""
        return os.getsid(run.task_process()) == self.component.process_id

    def log(self) -> str:
        """Return what the worker has said since its first start."""
        return self.component.log_file.read_text(errors="replace")

    def kill(self) -> None:
        """End it and the tasks in it at once, as when its machine is lost."""
        self._lives = self._readies()
        self.component.kill()

    def drain(self) -> None:
        """Ask it to end as its tasks have ended, and wait until it has heard."""
        self._lives = self._readies()
        heard = self.log().count(_DRAINED)
        self.component.ask_to_end()
        wait_for(lambda: self.log().count(_DRAINED) > heard, f"{self.name} to be drained")

    def wait_until_ready(self) -> None:
        """Wait until the worker takes tasks."""
        what = f"the worker {self.name} to be ready"
        wait_for(lambda: self._readies() > self._lives, what, _READY_SECONDS, 0.2)

    def _readies(self) -> int:
        return self.log().count(f"{self.name} ready.")


@dataclass
class CeleryAirflow:
    """An Airflow whose tasks run in two workers."""

    airflow: AirflowInstance
    broker: Redis
    workers: tuple[Worker, Worker]

    def revive(self) -> None:
        """Start what a test left dead, so that the next one has both workers."""
        for worker in self.workers:
            if not worker.component.is_running:
                worker.component.start()
        for worker in self.workers:
            worker.wait_until_ready()

    def workers_of(self, run: Run) -> tuple[Worker, Worker]:
        """Return the worker that has the run's task, and the other one."""
        one, other = self.workers
        return (one, other) if one.has(run) else (other, one)


@contextmanager
def celery_airflow(new_airflow: NewAirflow) -> Iterator[CeleryAirflow]:
    """Run an Airflow that notices soon what is dead, and two workers, until the block ends."""
    if not os.environ.get("KUBECONFIG"):
        debian.ensure_redis()
    with ExitStack() as ending:
        guard = Guard()
        ending.callback(guard.close)
        broker = Redis(guard)
        ending.callback(broker.stop)
        broker.start()
        environment = FRAGILE | {
            "AIRFLOW__CORE__EXECUTOR": "CeleryExecutor",
            "AIRFLOW__CELERY__BROKER_URL": broker.url,
        }
        for name, value in _TRANSPORT.items():
            setting = f"AIRFLOW__CELERY_BROKER_TRANSPORT_OPTIONS__{name.upper()}"
            environment[setting] = str(value)
        airflow = ending.enter_context(new_airflow(on_postgres=True, environment=environment))
        workers = (Worker(airflow, "one"), Worker(airflow, "other"))
        yield CeleryAirflow(airflow, broker, workers)
