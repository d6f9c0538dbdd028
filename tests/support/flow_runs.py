"""Flow runs without Airflow: from a Job spec to its outcome, on the real cluster."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import Future
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import pytest

from flowjob.cluster.api_server import Cluster
from flowjob.flow_run import FlowRun, TaskInstanceKey
from flowjob.logs.selection import LogSelection
from flowjob.spec.job_spec import FlowContainer, JobSpec
from flowjob.status.outcome import Outcome
from flowjob.wait.until_end import wait_for_outcome
from flowjob.worker.loop_thread import LoopThread
from tests.support import cluster as real

Manifest = dict[str, Any]

FLOW_CONTAINER = LogSelection()
SPEC = """
apiVersion: batch/v1
kind: Job
metadata: {name: test}
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      terminationGracePeriodSeconds: 1
      containers: [{name: flow-container}]
"""


def connect(
    kubeconfig: Path, monkeypatch: pytest.MonkeyPatch, conn_id: str = "test_cluster"
) -> str:
    """Make an Airflow connection to the cluster, and return its id."""
    extra = {"kube_config_path": str(kubeconfig)}
    monkeypatch.setenv(
        f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps({"conn_type": "kubernetes", "extra": extra})
    )
    return conn_id


def new_flow_run() -> FlowRun:
    """Return a flow run of a task instance that exists only here."""
    return FlowRun(
        flow_run_id=str(uuid4()),
        task_instance=TaskInstanceKey("dag", "run", "task"),
        airflow="http://airflow",
        try_number=1,
        max_tries=0,
        dag_run_start="now",
    )


class FlowRuns:
    """Launches Jobs in one namespace and waits for them, as the operator does in the worker."""

    def __init__(self, connection: str, namespace: str, image: str) -> None:
        self._connection = connection
        self._namespace = namespace
        self._image = image
        # Each line of the flows' logs, as it came.
        self.lines: list[str] = []

    def __enter__(self) -> Self:
        self._ending = ExitStack()
        self.loop = self._ending.enter_context(LoopThread())
        self.cluster = self._ending.enter_context(self.loop.use(Cluster(self._connection)))
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.close()

    def manifest(self, script: str, spec: str = SPEC, flow_run: FlowRun | None = None) -> Manifest:
        """Return a Job whose flow is a shell script."""
        container = FlowContainer(self._image, ["sh", "-c", script], [], {})
        return JobSpec.from_text(spec, "spec").for_flow_run(
            flow_run or new_flow_run(), container, namespace=self._namespace, name=None
        )

    def create(self, manifest: Manifest) -> Manifest:
        """Create the Job."""
        return self.loop.run(self.cluster.create_job(manifest))

    def wait(
        self,
        job: Manifest,
        on_line: Callable[[str], None] = lambda line: None,
        startup_timeout: float | None = None,
        **arguments: Any,
    ) -> Outcome:
        """Wait for the flow run's end; the arguments are those of `waiting`."""
        future = self.waiting(job, on_line, startup_timeout, **arguments)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def waiting(
        self,
        job: Manifest,
        on_line: Callable[[str], None] = lambda line: None,
        startup_timeout: float | None = None,
        wait_for: str = "job",
        selection: LogSelection = FLOW_CONTAINER,
        exit_codes: Collection[int] = (),
        limit: float | None = None,
    ) -> Future[Outcome]:
        """Begin to wait for the flow run's end."""

        def emit(line: str) -> None:
            self.lines.append(line)
            on_line(line)

        return self.loop.start(
            wait_for_outcome(
                self.cluster,
                job,
                emit,
                selection,
                startup_timeout=startup_timeout,
                wait_for=wait_for,
                exit_codes=exit_codes,
                limit=limit,
            )
        )

    def run(self, script: str, spec: str = SPEC) -> Outcome:
        """Create a Job and wait for its end."""
        return self.wait(self.create(self.manifest(script, spec)))


@pytest.fixture
def flow_runs(
    cluster: real.Cluster, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FlowRuns]:
    """Flow runs in the test's namespace, waited for as a worker does."""
    connection = connect(cluster.kubeconfig, monkeypatch)
    with FlowRuns(connection, namespace, cluster.shell_image) as runs:
        yield runs
