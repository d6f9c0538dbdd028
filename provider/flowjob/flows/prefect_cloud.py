"""``PrefectCloudFlow``: the reference's contract, for flows that Prefect Cloud 0.x knows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from flowjob.exceptions import FlowError
from flowjob.flows.base import Flow, FlowCommand, FlowRequest, escape

# The command of the reference, section "Job Spec Configuration".
_LOAD_AND_RUN = "python -c 'import prefect; prefect.environments.execution.load_and_run_flow()'"


@dataclass
class PrefectCloudFlow(Flow):
    """The command and the ten variables of the reference's ``KubernetesJobEnvironment``.

    :param conn_id: Airflow connection of type ``prefect``: host is the API's address (default
        Prefect Cloud's), password its API key.
    :param flow_file_path: where the flow's file is in the image, for storages that want it.
    """

    # A dataclass field of its own type, as the base class only promises "maybe a connection".
    conn_id: str = "prefect_default"
    flow_file_path: str = ""

    template_fields: ClassVar[tuple[str, ...]] = ("conn_id", "flow_file_path")

    def command(self, request: FlowRequest) -> FlowCommand:
        """Run the reference's command with the variables of its page.

        :raises FlowError: the operator passed no connection.
        """
        if request.connection is None:
            raise FlowError(f"the Prefect flow needs the Airflow connection {self.conn_id!r}")
        api_url = request.connection.api_url.rstrip("/")
        return FlowCommand(
            command=["/bin/sh", "-c"],
            args=[escape(_LOAD_AND_RUN)],
            env={
                "PREFECT__CLOUD__GRAPHQL": f"{api_url}/graphql",
                "PREFECT__CLOUD__API_KEY": request.connection.api_key,
                "PREFECT__CONTEXT__FLOW_RUN_ID": request.flow_run_id,
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
