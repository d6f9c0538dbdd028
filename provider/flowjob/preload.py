"""An Airflow listener that imports the Kubernetes hook once, in the process that forks tasks.

The hook takes seconds to import, in each task's process anew. LocalExecutor forks its tasks from
the scheduler, so what the scheduler has imported costs them nothing.
"""

from __future__ import annotations

from airflow.listeners import hookimpl


@hookimpl
def on_starting(component: object) -> None:
    """Import what a flow run needs, when a long-lived process of Airflow starts.

    :param component: what starts; a task's own process, for which it would be too late, is one.
    """
    if type(component).__name__ != "TaskRunnerMarker":
        import flowjob.worker.task_try  # noqa: F401
        from flowjob.cluster.connection import kubernetes_hook

        kubernetes_hook()
