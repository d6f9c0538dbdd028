"""``JobPlace``: where the Job of a flow run is, for all that the page asks the cluster."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class JobPlace:
    """Where a flow run's Job is.

    :param kubernetes_conn_id: Airflow connection of the cluster.
    :param namespace: its Job's namespace.
    :param job_name: its Job's name.
    :param flow_run_id: its id: a Job of another is not shown.
    """

    kubernetes_conn_id: str
    namespace: str
    job_name: str
    flow_run_id: str
