"""``PrefectCloudFlow``: the reference's contract, for flows that Prefect Cloud 0.x knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from flowjob.exceptions import FlowError
from flowjob.flows.base import Flow, FlowCommand, FlowRequest, escape
from flowjob.remote_run import CloudRunRequest

# The command of the reference, section "Job Spec Configuration".
_LOAD_AND_RUN = "python -c 'import prefect; prefect.environments.execution.load_and_run_flow()'"


@dataclass
class PrefectCloudFlow(Flow):
    """The command and the ten variables of the reference's ``KubernetesJobEnvironment``.

    With a registered flow (``flow_id``, or ``project_name`` and ``flow_name``), the flow run is
    created in Prefect with the operator's parameters; with ``flow_run_id`` it is the one that
    exists. Its final state and the Job's end decide together then. With none of these the flow
    container gets our own flow run id, which Prefect does not know.

    :param conn_id: Airflow connection of type ``prefect``: host is the API's address (default
        Prefect Cloud's), password its API key.
    :param flow_file_path: where the flow's file is in the image, for storages that want it.
    :param flow_id: id of the registered flow.
    :param project_name: the project of the registered flow, of which the newest version is run.
    :param flow_name: the name of the registered flow.
    :param flow_run_id: id of a flow run that exists in Prefect.
    """

    # A dataclass field of its own type, as the base class only promises "maybe a connection".
    conn_id: str = "prefect_default"
    flow_file_path: str = ""
    flow_id: str | None = None
    project_name: str | None = None
    flow_name: str | None = None
    flow_run_id: str | None = None

    template_fields: ClassVar[tuple[str, ...]] = (
        "conn_id",
        "flow_file_path",
        "flow_id",
        "project_name",
        "flow_name",
        "flow_run_id",
    )

    def command(self, request: FlowRequest) -> FlowCommand:
        """Run the reference's command with the variables of its page.

        :raises FlowError: the operator passed no connection.
        """
        if request.connection is None:
            raise FlowError(f"the Prefect flow needs the Airflow connection {self.conn_id!r}")
        api_url = request.connection.api_url.rstrip("/")
        run = request.remote_run
        return FlowCommand(
            command=["/bin/sh", "-c"],
            args=[escape(_LOAD_AND_RUN)],
            env={
                "PREFECT__CLOUD__GRAPHQL": f"{api_url}/graphql",
                "PREFECT__CLOUD__API_KEY": request.connection.api_key,
                "PREFECT__CONTEXT__FLOW_RUN_ID": run.run_id if run else request.flow_run_id,
                "PREFECT__CONTEXT__NAMESPACE": request.namespace,
                "PREFECT__CONTEXT__IMAGE": request.image,
                "PREFECT__CONTEXT__FLOW_FILE_PATH": self.flow_file_path,
                "PREFECT__CLOUD__USE_LOCAL_SECRETS": "false",
                "PREFECT__ENGINE__FLOW_RUNNER__DEFAULT_CLASS": (
                    "prefect.engine.cloud.CloudFlowRunner"
                ),
                "PREFECT__CLOUD__SEND_FLOW_RUN_LOGS": "true",
                "PREFECT__LOGGING__EXTRA_LOGGERS": "[]",
            },
        )

    def remote_run(self, flow_run_id: str, parameters: Mapping[str, Any]) -> CloudRunRequest | None:
        """Ask for the flow run of a registered flow, or for the one that is named.

        :raises FlowError: both are, or the flow by half.
        """
        names = self.project_name, self.flow_name
        ways = [bool(self.flow_run_id), bool(self.flow_id), any(names)]
        if sum(ways) > 1 or (any(names) and not all(names)):
            raise FlowError(
                "a Prefect flow run is named by flow_run_id, and a registered flow by flow_id or "
                "by project_name and flow_name: give one of these"
            )
        if not any(ways):
            return None
        return CloudRunRequest(
            self.conn_id,
            flow_run_id,
            parameters,
            flow_run_id=self.flow_run_id or None,
            flow_id=self.flow_id or None,
            project_name=self.project_name,
            flow_name=self.flow_name,
        )
