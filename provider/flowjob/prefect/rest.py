"""Prefect 3: flow runs of deployments, through the REST API.

The contract is that of Prefect's own server (``/api/docs`` of a running one).
"""

from __future__ import annotations

import asyncio
import re
from typing import Any
from urllib.parse import quote

from flowjob.exceptions import RemoteError, RemoteRefusedError
from flowjob.flows.base import FlowConnection
from flowjob.flows.prefect_deployment import api_address
from flowjob.prefect.http import PrefectApi
from flowjob.remote_run import (
    ACTIVE,
    CANCELLED,
    CANCELLING,
    COMPLETED,
    CRASHED,
    FAILED,
    PAUSED,
    REST,
    DeploymentRunRequest,
    RemoteRun,
    RemoteRunRequest,
    RemoteState,
)

# By Prefect's types of states; any other goes on.
_KINDS = {
    "COMPLETED": COMPLETED,
    "FAILED": FAILED,
    "CRASHED": CRASHED,
    "CANCELLED": CANCELLED,
    "CANCELLING": CANCELLING,
    "PAUSED": PAUSED,
}
_CLOUD = re.compile(r"https://api\.prefect\.cloud/api/accounts/([^/]+)/workspaces/([^/]+)")


def flow_run_url(api_url: str, run_id: str) -> str:
    """Return where Prefect's UI shows a flow run, by the address of its API."""
    if cloud := _CLOUD.fullmatch(api_url):
        account, workspace = cloud.groups()
        base = f"https://app.prefect.cloud/account/{account}/workspace/{workspace}"
    else:
        base = api_url.removesuffix("/api")
    return f"{base}/runs/flow-run/{run_id}"


def state_of(state: Any) -> RemoteState:
    """Read a state as the API has it.

    :raises RemoteError: it is none.
    """
    if not isinstance(state, dict) or not isinstance(state.get("type"), str):
        raise RemoteError("Prefect's API told of a flow run without a state: see what answers")
    kind = _KINDS.get(state["type"], ACTIVE)
    return RemoteState(kind, state.get("name") or state["type"].title(), state.get("message"))


class DeploymentRuns:
    """The flow runs of a Prefect 3; see ``RemoteRuns``.

    :param conn_id: id of the Airflow connection.
    :param connection: what it says.
    """

    def __init__(self, conn_id: str, connection: FlowConnection) -> None:
        self._api = PrefectApi(conn_id, api_address(connection.api_url), connection)

    async def begin(
        self, request: RemoteRunRequest, limit: float, stop: asyncio.Event | None = None
    ) -> RemoteRun:
        """Create a flow run of the deployment; see ``RemoteRuns.begin``.

        It begins as pending: a worker of Prefect's takes those that are scheduled.
        """
        assert isinstance(request, DeploymentRunRequest)  # noqa: S101 - for the type checker
        names = request.flow_name, request.deployment_name
        deployment = await self._api.request(
            "GET",
            "/deployments/name/{}/{}".format(*(quote(name, safe="") for name in names)),
            limit=limit,
            stop=stop,
            missing_ok=True,
        )
        if deployment is None:
            raise RemoteRefusedError(
                f"Prefect at {self._api.address} has no deployment {'/'.join(names)!r}: create it "
                "there, or name another one"
            )
        deployment_id, flow_id = self._texts(deployment, "id", "flow_id")
        flow_run = await self._api.request(
            "POST",
            f"/deployments/{deployment_id}/create_flow_run",
            {
                "state": {"type": "PENDING", "message": "Airflow launches its Kubernetes Job"},
                "parameters": dict(request.parameters),
                "tags": list(request.tags),
                "idempotency_key": request.idempotency_key,
            },
            limit=limit,
            stop=stop,
        )
        run_id, name = self._texts(flow_run, "id", "name")
        facts = {
            "flow_run_name": name,
            "flow_id": flow_id,
            "flow_name": request.flow_name,
            "deployment_id": deployment_id,
            "deployment_name": request.deployment_name,
        }
        url = flow_run_url(self._api.address, run_id)
        return RemoteRun(REST, self._api.conn_id, run_id, url, facts)

    async def state(self, run_id: str, limit: float) -> RemoteState:
        """Say how a flow run stands; see ``RemoteRuns.begin`` for errors."""
        flow_run = await self._api.request(
            "GET", f"/flow_runs/{quote(run_id, safe='')}", limit=limit, missing_ok=True
        )
        if flow_run is None:
            raise RemoteRefusedError(
                f"Prefect at {self._api.address} has no flow run {run_id}: it was deleted there"
            )
        self._texts(flow_run)
        return state_of(flow_run.get("state"))

    async def end(self, run_id: str, kind: str, message: str, limit: float) -> RemoteState:
        """End a flow run that has not ended by itself; see ``RemoteRuns.end``."""
        state = await self.state(run_id, limit)
        if state.has_ended and (kind, state.kind) != (CANCELLED, CRASHED):
            return state
        result = await self._api.request(
            "POST",
            f"/flow_runs/{quote(run_id, safe='')}/set_state",
            {"state": {"type": kind.upper(), "name": kind.title(), "message": message}},
            limit=limit,
        )
        if self._texts(result, "status") == ["ACCEPT"]:
            return RemoteState(kind, kind.title(), message)
        return await self.state(run_id, limit)

    def _texts(self, answer: Any, *names: str) -> list[str]:
        """Return texts of an answer.

        :raises RemoteError: it has them not, so that something else has answered.
        """
        texts = [answer.get(name) for name in names] if isinstance(answer, dict) else [None]
        if not all(isinstance(text, str) for text in texts):
            raise RemoteError(
                f"what answers at {self._api.address} is not the API of Prefect 3: see the address "
                f"in the Airflow connection {self._api.conn_id!r}"
            )
        return [str(text) for text in texts]
