"""Which Prefect a flow's runs are known to."""

from __future__ import annotations

from flowjob.flows.base import FlowConnection
from flowjob.prefect.graphql import CloudRuns
from flowjob.prefect.rest import DeploymentRuns
from flowjob.remote_run import REST, RemoteRuns


def remote_runs(api: str, conn_id: str, connection: FlowConnection) -> RemoteRuns:
    """Return the flow runs of a Prefect.

    :param api: ``GRAPHQL`` or ``REST``.
    :param conn_id: id of its Airflow connection.
    :param connection: what that says.
    """
    kind = DeploymentRuns if api == REST else CloudRuns
    return kind(conn_id, connection)
