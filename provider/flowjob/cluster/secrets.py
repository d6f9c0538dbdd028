"""``Secrets``: the Secrets of Jobs, which have the name of their Job."""

from __future__ import annotations

import asyncio
from typing import Any

from flowjob.cluster.api_server import Cluster
from flowjob.cluster.creation import create
from flowjob.cluster.errors import ApiError, is_forbidden, refusal
from flowjob.cluster.paths import secret_path, secrets_path
from flowjob.cluster.patience import REFUSALS, Patience
from flowjob.exceptions import ClusterError, JobRefusedError
from flowjob.flow_run import FLOW_RUN_ID_LABEL, flow_run_id_of
from flowjob.kubernetes_object import KubernetesObject, owner_reference

# A change whose condition does not hold.
_UNPROCESSABLE = 422


class Secrets:
    """Creates the Secrets of Jobs, gives them to their Jobs, and deletes those without one.

    No right to read one is needed: whose it is, a change asks for itself.

    :param cluster: where they are.
    """

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster

    async def create(
        self,
        manifest: KubernetesObject,
        *,
        limit: float | None = None,
        stop: asyncio.Event | None = None,
    ) -> None:
        """Create a Secret, or find the one that the same request created before.

        :param manifest: the Secret with its name and namespace.
        :param limit: seconds that a full quota on their number is waited for; None (default): any
            number.
        :param stop: see ``Transport.request``.
        :raises JobRefusedError: the API server refuses it, or the name belongs to somebody else.
        :raises ClusterError: the API server gave no usable answer, or the quota stays full.
        """
        metadata = manifest["metadata"]

        async def existing() -> KubernetesObject | None:
            try:
                patience = self._cluster.patience(REFUSALS)
                return await self._change(manifest, [], patience, stop)
            except ApiError as error:
                if error.code != _UNPROCESSABLE:
                    raise refusal(manifest, error) from None
                which = "{name!r} in namespace {namespace!r}".format_map(metadata)
                raise JobRefusedError(
                    f"the Secret {which} exists and belongs to somebody else: give the task "
                    "another name"
                ) from None

        path = secrets_path(metadata["namespace"])
        await create(self._cluster, path, manifest, existing, limit=limit, stop=stop)

    async def give(self, job: KubernetesObject, *, stop: asyncio.Event | None = None) -> bool:
        """Have the Secret of a Job go with it.

        :param stop: see ``Transport.request``.
        :returns: whether there is one.
        :raises ClusterError: it may not be changed, or is somebody else's.
        """
        owners = {"op": "add", "path": "/metadata/ownerReferences", "value": [owner_reference(job)]}
        try:
            return await self._change(job, [owners], self._cluster.patience(), stop) is not None
        except ApiError as error:
            name = job["metadata"]["name"]
            raise ClusterError(f"cannot change the Secret {name!r}: {error}") from None

    async def delete(self, secret: KubernetesObject, *, if_unchanged: bool = False) -> bool:
        """Delete a Secret.

        :param secret: the Secret, of which its metadata suffices.
        :param if_unchanged: leave it alone where anything of it is no longer as it was seen.
        :returns: whether it was deleted: False where it is gone or has changed.
        :raises ClusterError: it cannot be deleted.
        """
        metadata = secret["metadata"]
        body: KubernetesObject = {}
        if if_unchanged:
            seen = {key: metadata[key] for key in ("uid", "resourceVersion")}
            body["preconditions"] = seen
        try:
            await self._cluster.request(
                "DELETE", secret_path(metadata["namespace"], metadata["name"]), body=body
            )
        except ApiError as error:
            if error.code in (404, 409):
                return False
            raise ClusterError(f"cannot delete the Secret {metadata['name']!r}: {error}") from None
        return True

    async def without_owner(self, namespace: str | None) -> list[KubernetesObject] | None:
        """List the Secrets of flow runs that no Job has got.

        :param namespace: where they are; None: anywhere.
        :returns: None where they may not be listed.
        :raises ClusterError: they cannot be listed.
        """
        try:
            path = secrets_path(namespace)
            secrets = await self._cluster.whole_list(path, FLOW_RUN_ID_LABEL)
        except ApiError as error:
            if is_forbidden(error):
                return None
            raise ClusterError(f"cannot list the Secrets: {error}") from None
        return [each for each in secrets if not each["metadata"].get("ownerReferences")]

    async def _change(
        self,
        owner: KubernetesObject,
        changes: list[dict[str, Any]],
        patience: Patience,
        stop: asyncio.Event | None,
    ) -> KubernetesObject | None:
        """Change the Secret of this flow run's, None where there is none of its name.

        :param owner: has its name, its namespace and its flow run.
        :param changes: operations of a JSON patch (RFC 6902).
        :raises ApiError: it may not be changed, or is somebody else's.
        """
        metadata, path = owner["metadata"], f"/metadata/labels/{FLOW_RUN_ID_LABEL}"
        is_own = {"op": "test", "path": path, "value": flow_run_id_of(owner)}
        path = secret_path(metadata["namespace"], metadata["name"])
        try:
            return await self._cluster.request(
                "PATCH", path, body=[is_own, *changes], patience=patience, stop=stop
            )
        except ApiError as error:
            if error.code == 404:
                return None
            raise
