"""``PrefectDeployment``: a flow run of a deployment that Prefect 3 knows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar
from urllib.parse import urlsplit

from flowjob.exceptions import FlowError
from flowjob.flows.api_key import api_key_variables
from flowjob.flows.base import Flow, FlowCommand, FlowRequest, escape
from flowjob.flows.runner_text import program
from flowjob.remote_run import DeploymentRunRequest

_PREFIX = "prefect.io/"
# What Prefect's own Kubernetes worker labels a Job with, by the facts of a flow run.
_LABELS = ("flow_run_name", "flow_id", "flow_name", "deployment_id", "deployment_name")
_LONGEST_LABEL = 63


def api_address(api_url: str) -> str:
    """Return where the API is, as ``PREFECT_API_URL`` has it: below ``/api`` if nothing is said."""
    return api_url.rstrip("/") + ("" if urlsplit(api_url).path.strip("/") else "/api")


@dataclass
class PrefectDeployment(Flow):
    """A flow run of a deployment of Prefect 3, whose code and parameters Prefect knows.

    The flow run is created through Prefect's API, with the operator's ``parameters``, and executed
    in the flow container as a worker of Prefect's would have it. How it ends there and how its Job
    ends decide together. The result is the flow's own where the flow persists it
    (``persist_result=True``) and it is JSON.

    :param deployment: ``"flow name/deployment name"``.
    :param conn_id: Airflow connection of type ``prefect``: host is the API's address, such as
        ``http://prefect:4200/api``; password its API key.
    :param tags: tags of the flow run, beside the deployment's own.
    :param python: the interpreter in the image that has Prefect, a name on its PATH or an absolute
        path.
    :param api_key_secret: ``"name/key"`` of a Secret in the Job's namespace that has the API key;
        default: the connection's key, in a Secret that is made for the flow run.
    """

    deployment: str
    # A dataclass field of its own type, as the base class only promises "maybe a connection".
    conn_id: str = "prefect_default"
    tags: list[str] = field(default_factory=list)
    python: str = "python3"
    api_key_secret: str | None = None

    template_fields: ClassVar[tuple[str, ...]] = (
        "deployment",
        "conn_id",
        "tags",
        "python",
        "api_key_secret",
    )

    def command(self, request: FlowRequest) -> FlowCommand:
        """Execute the flow run with the variables and labels of Prefect's Kubernetes worker.

        The contract is ``prefect/workers/base.py`` of Prefect 3: ``prefect flow-run execute``.

        :raises FlowError: the operator passed no connection, or an argument is none of its forms.
        """
        if request.connection is None:
            raise FlowError(f"the deployment needs the Airflow connection {self.conn_id!r}")
        self._names()
        run = request.remote_run
        facts = dict(run.facts) if run else {}
        key, secrets = api_key_variables(
            ("PREFECT_API_KEY",), request.connection, self.api_key_secret
        )
        env = {
            "PREFECT_API_URL": api_address(request.connection.api_url),
            # Where the Job is only shown, no flow run is created.
            "PREFECT__FLOW_RUN_ID": run.run_id if run else request.flow_run_id,
            **{f"PREFECT__{name.upper()}": facts[name] for name in _LABELS[1:] if name in facts},
        }
        labels = {"flow-run-id": env["PREFECT__FLOW_RUN_ID"]}
        labels |= {name.replace("_", "-"): facts[name] for name in _LABELS if name in facts}
        return FlowCommand(
            command=[escape(self.python), "-u", "-c", escape(program("deployment_runner"))],
            args=[],
            env={name: value for name, value in env.items() if value} | key,
            secrets=secrets,
            labels={_PREFIX + name: _label_value(value) for name, value in labels.items()},
        )

    def remote_run(self, flow_run_id: str, parameters: Mapping[str, Any]) -> DeploymentRunRequest:
        """Ask for a flow run of the deployment.

        :raises FlowError: it is not named by flow and deployment.
        """
        flow_name, deployment_name = self._names()
        return DeploymentRunRequest(
            self.conn_id,
            flow_run_id,
            parameters,
            flow_name=flow_name,
            deployment_name=deployment_name,
            tags=list(self.tags),
        )

    def _names(self) -> tuple[str, str]:
        flow_name, _, deployment_name = self.deployment.partition("/")
        if not flow_name or not deployment_name:
            raise FlowError(
                f"the Prefect deployment {self.deployment!r} is not named: write it as "
                '"flow name/deployment name"'
            )
        return flow_name, deployment_name


def _label_value(text: str) -> str:
    """Make a label of a name: letters, digits, and between them ``-``, ``_`` and ``.``."""
    return re.sub(r"[^A-Za-z0-9_.-]+", "-", text)[:_LONGEST_LABEL].strip("-_.")
