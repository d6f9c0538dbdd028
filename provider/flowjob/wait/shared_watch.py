"""One ``FlowRunWatch`` for all that wait in one event loop for flow runs of one namespace."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from flowjob.cluster.api_server import Cluster
from flowjob.flow_run import FLOW_RUN_ID_LABEL
from flowjob.wait.flow_run_watch import FlowRunWatch

Watched = tuple[Cluster, FlowRunWatch]


class _Shared:
    """A watch, open as long as somebody uses it."""

    def __init__(self, kubernetes_conn_id: str, namespace: str) -> None:
        self.users = 0
        self._opened: asyncio.Future[Watched] = asyncio.get_running_loop().create_future()
        self._leave = asyncio.Event()
        # A task of its own: whoever opened it may leave before the others.
        self._task = asyncio.create_task(self._serve(kubernetes_conn_id, namespace))

    async def opened(self) -> Watched:
        return await asyncio.shield(self._opened)

    async def close(self) -> None:
        self._leave.set()
        await asyncio.shield(self._task)

    async def _serve(self, kubernetes_conn_id: str, namespace: str) -> None:
        try:
            async with (
                Cluster(kubernetes_conn_id) as cluster,
                FlowRunWatch(cluster, namespace, FLOW_RUN_ID_LABEL) as watch,
            ):
                self._opened.set_result((cluster, watch))
                await self._leave.wait()
        except Exception as error:
            if self._opened.done():
                raise
            self._opened.set_exception(error)


_Key = tuple[asyncio.AbstractEventLoop, str, str]
_shared: dict[_Key, _Shared] = {}


@asynccontextmanager
async def shared_watch(kubernetes_conn_id: str, namespace: str) -> AsyncIterator[Watched]:
    """Use the watch of this connection and namespace; the first opens it, the last closes it.

    :param kubernetes_conn_id: Airflow connection of type ``kubernetes``.
    :param namespace: the Jobs' namespace.
    :raises Exception: the connection cannot be loaded.
    """
    key = (asyncio.get_running_loop(), kubernetes_conn_id, namespace)
    shared = _shared.get(key)
    if shared is None:
        shared = _shared[key] = _Shared(kubernetes_conn_id, namespace)
    shared.users += 1
    try:
        yield await shared.opened()
    finally:
        shared.users -= 1
        if not shared.users:
            del _shared[key]
            await shared.close()
