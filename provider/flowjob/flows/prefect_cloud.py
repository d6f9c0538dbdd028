"""``PrefectCloudFlow``: the reference's contract, for flows that Prefect Cloud 0.x knows."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, ClassVar

from flowjob.exceptions import FlowError
from flowjob.flows.base import (
    Flow,
    FlowCommand,
    FlowConnection,
    FlowRequest,
    escape,
    secret_key,
)

# The command of the reference, section "Job Spec Configuration".
_LOAD_AND_RUN = "python -c 'import prefect; prefect.environments.execution.load_and_run_flow()'"

# Since 0.15.0 Prefect's client reads the first; before, it knew the second alone, which it still
# takes up to 0.15.13 where there is no first (``prefect/client/client.py``).
_API_KEY, _AUTH_TOKEN = "PREFECT__CLOUD__API_KEY", "PREFECT__CLOUD__AUTH_TOKEN"
_FIRST_WITH_API_KEY = (0, 15)

_VERSION = re.compile(r"(\d+)\.(\d+)(\.\w+)*")
# A Secret's name and a key in it, as Kubernetes has them.
_SECRET_KEY = re.compile(r"([a-z0-9][-a-z0-9.]*)/([-._a-zA-Z0-9]+)")


@dataclass
class PrefectCloudFlow(Flow):
    """The command and the ten variables of the reference's ``KubernetesJobEnvironment``.

    The API key reaches the flow container through a Kubernetes Secret.

    :param conn_id: Airflow connection of type ``prefect``: host is the API's address (default
        Prefect Cloud's), password its API key.
    :param flow_file_path: where the flow's file is in the image, for storages that want it.
    :param api_key_secret: ``"name/key"`` of a Secret in the Job's namespace that has the API key;
        default: the connection's key, in a Secret that is made for the flow run.
    :param prefect_version: the Prefect in the image, such as ``"0.14.22"``: it tells by which
        variable that reads its key; default: by any.
    """

    # A dataclass field of its own type, as the base class only promises "maybe a connection".
    conn_id: str = "prefect_default"
    flow_file_path: str = ""
    api_key_secret: str | None = None
    prefect_version: str | None = None

    template_fields: ClassVar[tuple[str, ...]] = (
        "conn_id",
        "flow_file_path",
        "api_key_secret",
        "prefect_version",
    )

    def command(self, request: FlowRequest) -> FlowCommand:
        """Run the reference's command with the variables of its page.

        :raises FlowError: the operator passed no connection, or an argument is none of its forms.
        """
        connection = request.connection
        if connection is None:
            raise FlowError(f"the Prefect flow needs the Airflow connection {self.conn_id!r}")
        plain, secrets = self._key(connection)
        return FlowCommand(
            command=["/bin/sh", "-c"],
            args=[escape(_LOAD_AND_RUN)],
            env={
                "PREFECT__CLOUD__GRAPHQL": f"{connection.api_url.rstrip('/')}/graphql",
                **plain,
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
            secrets=secrets,
        )

    def _key(self, connection: FlowConnection) -> tuple[dict[str, Any], dict[str, str]]:
        """Return the variables of the API key: those that show nothing, and the secret ones."""
        names = self._key_variables()
        if self.api_key_secret:
            return dict.fromkeys(names, _reference(self.api_key_secret)), {}
        if connection.api_key:
            return {}, dict.fromkeys(names, connection.api_key)
        # A Prefect Server asks for none.
        return dict.fromkeys(names, ""), {}

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


def _reference(api_key_secret: str) -> dict[str, Any]:
    found = _SECRET_KEY.fullmatch(str(api_key_secret))
    if found is None:
        # Not its value: it may be the API key itself.
        raise FlowError(
            "api_key_secret of the Prefect flow names no key of a Secret: write it as "
            '"name/key", such as "prefect/api-key"'
        )
    return secret_key(found[1], found[2])
