"""What every kind of flow shares. Pure: no Airflow, no Kubernetes client."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from flowjob.remote_run import RemoteRun, RemoteRunRequest


@dataclass(frozen=True)
class FlowConnection:
    """What a flow needs of an Airflow connection.

    :param api_url: base address of the service.
    :param api_key: the secret that the service asks for.
    :param tenant_id: whose data it is to work with, where the service has several tenants.
    """

    api_url: str
    api_key: str = field(default="", repr=False)
    tenant_id: str = ""


@dataclass(frozen=True)
class FlowRequest:
    """What a flow may know about the flow run when it says what its container runs.

    :param flow_run_id: id of the flow run.
    :param image: image of the flow container.
    :param namespace: Kubernetes namespace of the Job.
    :param connection: the connection that the flow asked for by ``conn_id``.
    :param remote_run: the run that the flow asked for by ``remote_run``; None: it asked for none,
        or there is none yet, as where a Job is only shown.
    """

    flow_run_id: str
    image: str
    namespace: str
    connection: FlowConnection | None = None
    remote_run: RemoteRun | None = None


@dataclass(frozen=True)
class FlowCommand:
    """How the flow container starts (Kubernetes' ``command``, ``args`` and ``env``).

    :param command: the container's entrypoint; None leaves the spec's own.
    :param args: the entrypoint's arguments; None leaves the spec's own.
    :param env: variables that this kind of flow adds: by name, a literal value, or what Kubernetes
        has below ``valueFrom``.
    :param secrets: variables with secret values, by name: they reach the container through a
        Secret and never stand in the Job.
    :param labels: labels that this kind of flow adds to the Job and its pods.
    """

    command: list[str] | None = None
    args: list[str] | None = None
    env: Mapping[str, Any] = field(default_factory=dict, repr=False)
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    labels: Mapping[str, str] = field(default_factory=dict)


class Flow(ABC):
    """What the flow container runs, and how."""

    # Airflow renders these attributes where they stand in a template field.
    template_fields: ClassVar[tuple[str, ...]] = ()
    # The Airflow connection whose values the flow needs, if any.
    conn_id: str | None = None

    @abstractmethod
    def command(self, request: FlowRequest) -> FlowCommand:
        """Say what the flow container runs in this flow run."""

    def remote_run(
        self, flow_run_id: str, parameters: Mapping[str, Any]
    ) -> RemoteRunRequest | None:
        """Say which run another system is to know of this flow run; None: none does.

        :param flow_run_id: id of the flow run.
        :param parameters: the operator's ``parameters``.
        :raises FlowError: what is asked for is not definite.
        """
        return None


def secret_key(name: str, key: str) -> dict[str, Any]:
    """Refer to a value in a Secret, as a variable does below ``valueFrom``.

    :param name: the Secret, in the namespace of the Job.
    :param key: the key in it.
    """
    return {"secretKeyRef": {"name": name, "key": key}}


def escape(text: str) -> str:
    """Keep the kubelet from expanding ``$(NAME)`` and ``$$`` in what we write by ourselves."""
    return text.replace("$", "$$")
