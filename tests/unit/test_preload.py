"""What a process that forks others has imported for them."""

from __future__ import annotations

import subprocess
import sys

import pytest

STARTED = """
import logging, sys
logging.basicConfig(level="INFO", format="%(message)s", stream=sys.stdout, force=True)
{start}
before = set(sys.modules)
from flowjob.cluster.api_server import Cluster
from flowjob.cluster.connection import kubernetes_hook
from flowjob.operators.handover import arguments_of, hand_on, trigger_of
from flowjob.triggers.flow_job import FlowJobTrigger
from flowjob.wait.shared_watch import shared_watch
from flowjob.worker.task_try import TaskTry
kubernetes_hook()
print("imported since:", sorted(set(sys.modules) - before))
"""


@pytest.mark.parametrize(
    "start",
    [
        # A scheduler, a triggerer or a DAG processor.
        "from flowjob.preload import on_starting; on_starting(object())",
        # By its `imports`.
        "import flowjob.celery_worker",
    ],
    ids=["airflow", "celery"],
)
def test_who_is_forked_has_nothing_left_to_import_and_the_log_says_so(start: str) -> None:
    told = output_of(start)
    assert "Preloaded for flow runs, in " in told
    assert "imported since: []" in told


def test_a_tasks_own_process_does_not_import_what_its_task_may_not_need() -> None:
    marker = "class TaskRunnerMarker: pass"
    start = f"from flowjob.preload import on_starting\n{marker}\non_starting(TaskRunnerMarker())"
    told = output_of(start)
    assert "Preloaded" not in told
    assert "airflow.providers.cncf.kubernetes.hooks.kubernetes" in told


def output_of(start: str) -> str:
    command = [sys.executable, "-c", STARTED.format(start=start)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
