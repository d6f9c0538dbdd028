"""Prefect 0.x and 1.x: flow runs of registered flows, through the GraphQL API of Server and Cloud.

The contract is what Prefect's own client sends (``prefect/client/client.py`` of 0.15 and 1.4).
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from flowjob.exceptions import RemoteError, RemoteRefusedError
from flowjob.flows.base import FlowConnection
from flowjob.prefect.http import PrefectApi, words_of
from flowjob.remote_run import (
    ACTIVE,
    CANCELLED,
    CANCELLING,
    COMPLETED,
    CRASHED,
    FAILED,
    GRAPHQL,
    PAUSED,
    CloudRunRequest,
    RemoteRun,
    RemoteRunRequest,
    RemoteState,
)

# By the names of Prefect's states; any other goes on.
_KINDS = {
    **dict.fromkeys(("Success", "Cached", "Mapped", "Skipped"), COMPLETED),
    **dict.fromkeys(("Failed", "TimedOut", "TriggerFailed", "ValidationFailed"), FAILED),
    "Cancelled": CANCELLED,
    "Cancelling": CANCELLING,
    "Paused": PAUSED,
}
# This generation has no state for a flow run that could not tell its end.
_STATES = {CRASHED: "Failed", CANCELLED: "Cancelled"}
# Agents take flow runs of which they have all the labels: none has this one.
_LABEL = "flowjob"
# By the codes of GraphQL errors.
_NOT_TAKEN = {"UNAUTHENTICATED", "FORBIDDEN"}

_FLOWS = """
query($project: String!, $flow: String!) {
  flow(
    where: {
      name: {_eq: $flow}, project: {name: {_eq: $project}}, archived: {_eq: false}
    }
    order_by: {version: desc}
    limit: 1
  ) { id }
}"""
_CREATE = "mutation($input: create_flow_run_input!) { create_flow_run(input: $input) { id } }"
_FLOW_RUN = """
query($id: uuid!) { flow_run_by_pk(id: $id) { id version state state_message } }"""
_SET_STATES = """
mutation($input: set_flow_run_states_input!) {
  set_flow_run_states(input: $input) { states { id status message } }
}"""


class CloudRuns:
    """The flow runs of a Prefect Server or Cloud of 0.x or 1.x; see ``RemoteRuns``.

    :param conn_id: id of the Airflow connection.
    :param connection: what it says.
    """

    def __init__(self, conn_id: str, connection: FlowConnection) -> None:
        self._api = PrefectApi(conn_id, f"{connection.api_url.rstrip('/')}/graphql", connection)

    async def begin(
        self, request: RemoteRunRequest, limit: float, stop: asyncio.Event | None = None
    ) -> RemoteRun:
        """Create a flow run, or take the one that is named; see ``RemoteRuns.begin``.

        It becomes submitted, as by an agent, and no agent takes it meanwhile.
        """
        assert isinstance(request, CloudRunRequest)  # noqa: S101 - for the type checker
        run_id = request.flow_run_id
        if run_id is None:
            wanted = {
                "flow_id": request.flow_id or await self._flow_id(request, limit, stop),
                "parameters": dict(request.parameters),
                "labels": [_LABEL],
                "idempotency_key": request.idempotency_key,
            }
            created = await self._ask(_CREATE, {"input": wanted}, limit, stop)
            run_id = str((created.get("create_flow_run") or {}).get("id"))
        flow_run = await self._flow_run(run_id, limit, stop)
        if flow_run.get("state") == "Scheduled":
            await self._set_state(
                flow_run, "Submitted", "Airflow launches its Kubernetes Job", limit, stop
            )
        return RemoteRun(GRAPHQL, self._api.conn_id, run_id)

    async def state(self, run_id: str, limit: float) -> RemoteState:
        """Say how a flow run stands; see ``RemoteRuns.begin`` for errors."""
        return _state_of(await self._flow_run(run_id, limit))

    async def end(self, run_id: str, kind: str, message: str, limit: float) -> RemoteState:
        """End a flow run that has not ended by itself; see ``RemoteRuns.end``."""
        flow_run = await self._flow_run(run_id, limit)
        state = _state_of(flow_run)
        if state.has_ended:
            return state
        await self._set_state(flow_run, _STATES[kind], message, limit)
        return await self.state(run_id, limit)

    async def _flow_id(
        self, request: CloudRunRequest, limit: float, stop: asyncio.Event | None
    ) -> str:
        """Find the newest version of a flow by its names."""
        names = {"project": request.project_name, "flow": request.flow_name}
        flows = (await self._ask(_FLOWS, names, limit, stop)).get("flow")
        if not flows:
            raise RemoteRefusedError(
                f"Prefect at {self._api.address} has no flow {request.flow_name!r} in the project "
                f"{request.project_name!r}: register it, or name another one"
            )
        return str(flows[0]["id"])

    async def _flow_run(
        self, run_id: str, limit: float, stop: asyncio.Event | None = None
    ) -> dict[str, Any]:
        found = (await self._ask(_FLOW_RUN, {"id": run_id}, limit, stop)).get("flow_run_by_pk")
        if not isinstance(found, dict):
            raise RemoteRefusedError(
                f"Prefect at {self._api.address} has no flow run {run_id}: name one that exists"
            )
        return found

    async def _set_state(
        self,
        flow_run: Mapping[str, Any],
        name: str,
        message: str,
        limit: float,
        stop: asyncio.Event | None = None,
    ) -> None:
        state = {
            "flow_run_id": flow_run["id"],
            "version": flow_run.get("version"),
            "state": {"type": name, "message": message},
        }
        await self._ask(_SET_STATES, {"input": {"states": [state]}}, limit, stop)

    async def _ask(
        self,
        query: str,
        variables: Mapping[str, Any],
        limit: float,
        stop: asyncio.Event | None = None,
    ) -> dict[str, Any]:
        """Send a query, and return its data; GraphQL tells refusals in the answer."""
        answer = await self._api.request(
            "POST", "", {"query": query, "variables": variables}, limit=limit, stop=stop
        )
        errors = answer.get("errors") if isinstance(answer, dict) else None
        if errors:
            raise self._refusal(errors)
        data = answer.get("data") if isinstance(answer, dict) else None
        if not isinstance(data, dict):
            raise RemoteError(
                f"what answers at {self._api.address} is no GraphQL API: see the address in the "
                f"Airflow connection {self._api.conn_id!r}"
            )
        return data

    def _refusal(self, errors: Any) -> RemoteRefusedError:
        first = errors[0] if isinstance(errors, list) and isinstance(errors[0], dict) else {}
        code = (first.get("extensions") or {}).get("code")
        if code in _NOT_TAKEN:
            return self._api.not_taken(code)
        return RemoteRefusedError(
            f"Prefect at {self._api.address} refused a request for a flow run: "
            f"{words_of({'errors': errors})}"
        )


def _state_of(flow_run: Mapping[str, Any]) -> RemoteState:
    name = str(flow_run.get("state") or "Pending")
    return RemoteState(_KINDS.get(name, ACTIVE), name, flow_run.get("state_message") or None)
