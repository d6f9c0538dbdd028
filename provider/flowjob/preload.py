"""Imports what a flow run needs once, in the process that forks those who wait for flow runs.

The Kubernetes hook takes seconds to import, in each task's process anew. LocalExecutor forks its
tasks from the scheduler, and a triggerer its runner: what those have imported costs nothing more.
"""

from __future__ import annotations

import importlib
import logging
import time

from airflow.listeners import hookimpl

log = logging.getLogger(__name__)

_MODULES = (
    "flowjob.operators.flow_job",
    "flowjob.triggers.flow_job",
    "flowjob.wait.shared_watch",
    "flowjob.worker.task_questions",
    "flowjob.worker.task_try",
)


@hookimpl
def on_starting(component: object) -> None:
    """Preload when a long-lived process of Airflow starts, which is not of Celery's.

    :param component: what starts; a task's own process, for which it would be too late, is one.
    """
    if type(component).__name__ != "TaskRunnerMarker":
        preload()


def preload() -> None:
    """Import what flow runs need, and say how long that took."""
    began = time.monotonic()
    for name in _MODULES:
        importlib.import_module(name)
    from flowjob.cluster.connection import kubernetes_hook

    kubernetes_hook()
    log.info("Preloaded for flow runs, in %.1f s: who is forked has it", time.monotonic() - began)
