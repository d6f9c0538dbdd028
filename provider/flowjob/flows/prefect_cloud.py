"""``PrefectCloudFlow``: the reference's contract, for flows that Prefect Cloud 0.x knows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from flowjob.exceptions import FlowError
from flowjob.flows.api_key import api_key_variables
from flowjob.flows.base import Flow, FlowCommand, FlowRequest, escape
from flowjob.remote_run import CloudRunRequest

# The command of the reference, section "Job Spec Configuration".
_LOAD_AND_RUN = "python -c 'import prefect; prefect.environments.execution.load_and_run_flow()'"

# Since 0.15.0 Prefect's client reads the first; before, it knew the second alone, which it still
# takes up to 0.15.13 where there is no first (``prefect/client/client.py``).
_API_KEY, _AUTH_TOKEN = "PREFECT__CLOUD__API_KEY", "PREFECT__CLOUD__AUTH_TOKEN"
_FIRST_WITH_API_KEY = (0, 15)

_VERSION = re.compile(r"(\d+)\.(\d+)(\.\w+)*")


@dataclass
class PrefectCloudFlow(Flow):
    """The command and the ten variables of the reference's ``KubernetesJobEnvironment``.

    The API key reaches the flow container through a Kubernetes Secret.

    With a registered flow (``flow_id``, or ``project_name`` and ``flow_name``), the flow run is
    created in Prefect with the operator's parameters; with ``flow_run_id`` it is the one that
    exists. Its final state and the Job's end decide together then. With none of these the flow
    container gets our own flow run id, which Prefect does not know.

    :param conn_id: Airflow connection of type ``prefect``; see ``flowjob.hooks.prefect``.
    :param flow_file_path: where the flow's file is in the image, for storages that want it.
    :param api_key_secret: ``"name/key"`` of a Secret in the Job's namespace that has the API key;
        default: the connection's key, in a Secret that is made for the flow run.
    :param prefect_version: the Prefect in the image, such as ``"0.14.22"``: it tells by which
        variables that reads its key and, since 0.15, its address; default: by any.
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
    api_key_secret: str | None = None
    prefect_version: str | None = None

    template_fields: ClassVar[tuple[str, ...]] = (
        "conn_id",
        "flow_file_path",
        "flow_id",
        "project_name",
        "flow_name",
        "flow_run_id",
        "api_key_secret",
        "prefect_version",
    )

    def command(self, request: FlowRequest) -> FlowCommand:
        """Run the reference's command with the variables of its page.

        Since Prefect 0.15 an API key is sent to ``PREFECT__CLOUD__API``, which is set beside them.

        :raises FlowError: the operator passed no connection, or an argument is none of its forms.
        """
        connection = request.connection
        if connection is None:
            raise FlowError(f"the Prefect flow needs the Airflow connection {self.conn_id!r}")
        names, api_url = self._key_variables(), connection.api_url.rstrip("/")
        plain, secrets = api_key_variables(names, connection, self.api_key_secret)
        if not (plain or secrets):
            # A Prefect Server asks for none.
            plain = dict.fromkeys(names, "")
        if _API_KEY in names:
            # What the client that reads it asks in place of the page's GRAPHQL.
            plain["PREFECT__CLOUD__API"] = api_url
        if connection.tenant_id:
            plain["PREFECT__CLOUD__TENANT_ID"] = connection.tenant_id
        run = request.remote_run
        return FlowCommand(
            command=["/bin/sh", "-c"],
            args=[escape(_LOAD_AND_RUN)],
            env={
                "PREFECT__CLOUD__GRAPHQL": f"{api_url}/graphql",
                **plain,
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
            secrets=secrets,
        )

    def _key_variables(self) -> tuple[str, ...]:
        if not self.prefect_version:
            return _API_KEY, _AUTH_TOKEN
        version = _VERSION.fullmatch(str(self.prefect_version))
        if version is None:
            raise FlowError(
                f"prefect_version is {self.prefect_version!r}: give the version of the Prefect in "
                'the image, such as "0.14.22"'
            )
        is_new = (int(version[1]), int(version[2])) >= _FIRST_WITH_API_KEY
        return (_API_KEY,) if is_new else (_AUTH_TOKEN,)

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
