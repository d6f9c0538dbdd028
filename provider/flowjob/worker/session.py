"""``WorkerSession``: what one step of a flow run needs in a worker."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from contextlib import ExitStack
from typing import Any, Self, TypeVar

from flowjob.cluster.airflow_thread import in_thread
from flowjob.cluster.api_server import Cluster
from flowjob.flow_run import FlowRun
from flowjob.launch.execution import Execution
from flowjob.timeouts import ANSWER_TIMEOUT
from flowjob.worker.loop_thread import LoopThread
from flowjob.worker.task_states import task_states, was_killed

T = TypeVar("T")

log = logging.getLogger(__name__)


class WorkerSession:
    """A cluster and an execution, for a main thread that may be told to end at any moment.

    :param kubernetes_conn_id: Airflow connection of type ``kubernetes``.
    :param flow_run: the flow run.
    """

    def __init__(self, kubernetes_conn_id: str, flow_run: FlowRun) -> None:
        self.flow_run = flow_run
        self.cluster = Cluster(kubernetes_conn_id)
        self.execution = Execution(self.cluster)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._loop = stack.enter_context(LoopThread())
            stack.enter_context(self._loop.use(self.cluster))
            self._ending = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._ending.close()

    def run(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine of the cluster's or the execution's, and wait for its end."""
        return self._loop.run(coroutine)

    def on_kill(self) -> None:
        """Start to delete the Job if the task was ended in Airflow; else it is left to a later try.

        Airflow calls an operator's ``on_kill`` for a worker that is merely shut down, too, and in
        a signal handler, which may not wait.
        """
        self._loop.start(self._end())

    def end(self) -> None:
        """Do what ``on_kill`` does, and wait for it: the flow run's next step hears of it."""
        self._loop.run(self._end())

    def raise_if_ended(self) -> None:
        """Delete the Job if the task was ended in Airflow meanwhile.

        :raises FlowRunCancelledError: it was.
        """
        self._loop.run(self._kill_if_ended())
        self.execution.raise_if_killed()

    async def _end(self) -> None:
        if not await self._kill_if_ended():
            self.execution.leave()
            log.info(
                "The worker is to end: the Job goes on, and a later try adopts it; where there is "
                "none yet, a later try launches it"
            )

    async def _kill_if_ended(self) -> bool:
        key = self.flow_run.task_instance
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT):
                states = await in_thread(task_states, [key])
        except Exception as error:
            log.warning("Airflow does not say what became of the task: %r", error)
            return False
        if not was_killed(key, states):
            return False
        log.info("The task was ended in Airflow (%s): deleting its Job", states.get(key))
        await self.execution.kill()
        if self.execution.has_begun:
            log.info("%s", _sentence(self.execution.end_of_kill))
        return True


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}"
