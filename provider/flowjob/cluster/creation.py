"""Create an object whose name is the lock: once, whatever becomes of the replies."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from flowjob.cluster.errors import ApiError, refusal
from flowjob.cluster.patience import REFUSALS, Patience
from flowjob.cluster.retries import pause
from flowjob.cluster.transport import Transport
from flowjob.kubernetes_object import KubernetesObject
from flowjob.status.refusal import is_full_quota
from flowjob.timeouts import PATIENCE


async def create(
    transport: Transport,
    path: str,
    manifest: KubernetesObject,
    existing: Callable[[], Awaitable[KubernetesObject | None]],
    *,
    limit: float | None,
    stop: asyncio.Event | None,
) -> KubernetesObject:
    """Create an object, or return the one of its name.

    :param path: the REST path of its kind in its namespace.
    :param manifest: the object with its name and namespace.
    :param existing: finds the one of its name, if it is still there, and checks whose it is.
    :param limit: seconds that a full quota on their number is waited for; None: any number.
    :param stop: see ``Transport.request``.
    :raises JobRefusedError: the API server refuses it.
    :raises ClusterError: the API server gave no usable answer, or the quota stays full.
    """
    kind = manifest["kind"]
    which = "{name!r} in namespace {namespace!r}".format_map(manifest["metadata"])
    room = Patience(f"no room for the {kind} {which}", limit, passes=_is_full_quota)
    clash = Patience(
        f"neither a free name nor a {kind} for the {kind} {which}", PATIENCE, passes=_is_conflict
    )
    while True:
        try:
            patience = transport.patience(REFUSALS)
            query = {"fieldValidation": "Strict"}
            return await transport.request(
                "POST", path, query, manifest, patience=patience, stop=stop
            )
        except ApiError as error:
            if _is_full_quota(error):
                delay = room.take(error)
            elif not _is_conflict(error):
                raise refusal(manifest, error) from None
            else:
                found = await existing()
                if found is not None:
                    return found
                # It went just now, or others' requests were in the way of this one.
                delay = clash.take(error)
        await pause(delay, stop)


def _is_full_quota(error: Exception) -> bool:
    return isinstance(error, ApiError) and is_full_quota(error.status)


def _is_conflict(error: Exception) -> bool:
    return isinstance(error, ApiError) and error.code == 409
