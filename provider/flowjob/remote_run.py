"""A flow run that another system knows, too: what is asked of that system, and what it says.

Pure: no Airflow, no Kubernetes client.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from flowjob.kubernetes_object import KubernetesObject
from flowjob.text import one_line

if TYPE_CHECKING:
    import asyncio

# How a remote run stands, whatever its system calls it.
COMPLETED, FAILED, CRASHED, CANCELLED = "completed", "failed", "crashed", "cancelled"
# It has not ended; somebody wants it to end; nor will it end without being resumed.
ACTIVE, CANCELLING, PAUSED = "active", "cancelling", "paused"

# The APIs that are spoken: of Prefect 0.x and 1.x, and of Prefect 3.
GRAPHQL, REST = "graphql", "rest"


@dataclass(frozen=True)
class RemoteRunRequest:
    """What a flow asks of the system that is to know its runs.

    :param conn_id: the Airflow connection of that system.
    :param idempotency_key: our flow run id: the same key gives the same run, however often it is
        asked for.
    :param parameters: the flow's parameters, JSON values by name.
    """

    # Which of the APIs takes this request.
    api: ClassVar[str]

    conn_id: str
    idempotency_key: str
    parameters: Mapping[str, Any] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class CloudRunRequest(RemoteRunRequest):
    """A flow run of Prefect 0.x or 1.x: one that exists, or one of a flow that is registered.

    :param flow_run_id: the run that exists; None: one is created.
    :param flow_id: the registered flow; None: the newest version of that name in the project.
    :param project_name: see ``flow_id``.
    :param flow_name: see ``flow_id``.
    """

    api: ClassVar[str] = GRAPHQL

    flow_run_id: str | None = None
    flow_id: str | None = None
    project_name: str | None = None
    flow_name: str | None = None


@dataclass(frozen=True)
class DeploymentRunRequest(RemoteRunRequest):
    """A flow run of a deployment of Prefect 3.

    :param flow_name: the flow's name.
    :param deployment_name: the deployment's name.
    :param tags: what the run is to be found by, beside the deployment's own tags.
    """

    api: ClassVar[str] = REST

    flow_name: str = ""
    deployment_name: str = ""
    tags: Sequence[str] = ()


@dataclass(frozen=True)
class RemoteRun:
    """The run of a flow run in another system.

    :param api: the API that it is reached by.
    :param conn_id: the Airflow connection of its system.
    :param run_id: its id there.
    :param url: where people see it; None: not known.
    :param facts: what its system says of it, by the names that the kind of flow knows.
    """

    api: str
    conn_id: str
    run_id: str
    url: str | None = None
    facts: Mapping[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return what others may know of it, and what is needed to find it again: no secret."""
        return {"api": self.api, "conn_id": self.conn_id, "id": self.run_id, "url": self.url}

    @classmethod
    def from_dict(cls, known: Any) -> RemoteRun | None:
        """Read what ``to_dict`` returned; None: there is nothing, or it is somebody else's."""
        if not isinstance(known, dict):
            return None
        api, conn_id, run_id = (known.get(name) for name in ("api", "conn_id", "id"))
        url = known.get("url")
        if not all(isinstance(each, str) for each in (api, conn_id, run_id, url or "")):
            return None
        return cls(str(api), str(conn_id), str(run_id), url)

    def to_text(self) -> str:
        """Write it for an annotation."""
        return json.dumps(self.to_dict())

    @classmethod
    def from_text(cls, text: str | None) -> RemoteRun | None:
        """Read what ``to_text`` wrote; see ``from_dict``."""
        try:
            return cls.from_dict(json.loads(text or "null"))
        except ValueError:
            return None


@dataclass(frozen=True)
class RemoteState:
    """How a remote run stands.

    :param kind: one of this module's words.
    :param name: what its system calls it, such as ``TimedOut``.
    :param message: what its system says of it; None: nothing.
    """

    kind: str
    name: str
    message: str | None = None

    @property
    def has_ended(self) -> bool:
        """Whether it stays as it is."""
        return self.kind in (COMPLETED, FAILED, CRASHED, CANCELLED)

    def __str__(self) -> str:
        return f"{self.name} ({one_line(self.message)})" if self.message else self.name


class RemoteRuns(Protocol):
    """The runs that a system knows: what may be done to them.

    Each is safe to be done twice. What may pass is waited for, ``limit`` seconds at the most.
    """

    async def begin(
        self, request: RemoteRunRequest, limit: float, stop: asyncio.Event | None = None
    ) -> RemoteRun:
        """Create the run that is asked for, or take the one that exists.

        :param stop: it is not wanted any more: what has had no answer is not asked for again.
        :raises RequestStoppedError: it was stopped.
        :raises RemoteRefusedError: the system refuses it, and would again.
        :raises RemoteError: the system gave no usable answer.
        """
        ...

    async def state(self, run_id: str, limit: float) -> RemoteState:
        """Say how a run stands; see ``begin`` for errors."""
        ...

    async def end(self, run_id: str, kind: str, message: str, limit: float) -> RemoteState:
        """End a run that has not ended by itself, and say how it stands then.

        :param kind: ``CRASHED``: it cannot tell its end itself; ``CANCELLED``: it was ended by
            somebody, also where its system has just taken it for crashed.
        :param message: why.
        """
        ...


class Companion(Protocol):
    """What a flow run has beside its Job, and that ends with it."""

    async def begin(self, stop: asyncio.Event) -> tuple[KubernetesObject, KubernetesObject | None]:
        """Make what is to be there before the Job, and return the manifests that name it.

        :param stop: the Job is not wanted any more.
        :returns: the Job, and the Secret that it takes values from, None where it takes none.
        :raises FlowJobError: it cannot be made; no Job is.
        """
        ...

    def end(self, job: KubernetesObject | None) -> Awaitable[None]:
        """End it, as its Job is deleted; what goes wrong is said in the log.

        :param job: the Job; None: there is none.
        """
        ...
