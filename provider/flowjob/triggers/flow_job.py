"""``FlowJobTrigger``: wait for a flow run in the triggerer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Collection
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from airflow.triggers.base import BaseTrigger, TriggerEvent

from flowjob.flow_run import FLOW_RUN_ID_LABEL, REMOTE_RUN, TaskInstanceKey, annotate
from flowjob.kubernetes_object import KubernetesObject, job_of_flow_container
from flowjob.logs.selection import LogSelection
from flowjob.timeouts import LAST_LINE, PATIENCE
from flowjob.worker.task_states import was_killed
from flowjob.worker.trigger_event import EventPayload


class FlowJobTrigger(BaseTrigger):
    """Wait until a Job has ended, and fire one event with its outcome.

    All the triggers of a triggerer that share a connection and a namespace share one watch of
    Jobs and one of their pods. Nothing of the job spec is in the trigger's arguments, which
    Airflow stores.

    :param kubernetes_conn_id: Airflow connection of type ``kubernetes``.
    :param namespace: the Job's namespace.
    :param job_name: the Job's name.
    :param job_uid: the Job's uid.
    :param flow_run_id: the Job's label.
    :param dag_id: whose Job it is, as the next three, to ask Airflow what became of the task.
    :param run_id: see ``dag_id``.
    :param task_id: see ``dag_id``.
    :param map_index: see ``dag_id``.
    :param logging_interval: seconds after which to fire an event without an outcome, so that a
        worker fetches the log so far; None (default): never.
    :param startup_timeout: seconds that the flow container may take to start; None (default): any
        number.
    :param flow_container: the name of the container that runs the flow; None (default): the first.
    :param wait_for: ``"job"`` (default) or ``"flow"``, as the operator has it.
    :param exit_codes: of the flow container, that end the flow run at once; none (default).
    :param log_containers: ``"flow"`` (default), ``"all"`` or names, as the operator has it: whose
        last lines are kept where the cluster takes the pod away.
    :param remote_run: what the Job says of the run that another system knows (``RemoteRun``), which
        is cancelled with the Job; None (default): there is none.
    :param not_before: when it may end at the earliest (seconds since the epoch), well or not; 0
        (default): at once. Airflow takes for failed a task that is resumed before its executor
        has told the scheduler that the process which deferred has ended.
    """

    def __init__(
        self,
        *,
        kubernetes_conn_id: str,
        namespace: str,
        job_name: str,
        job_uid: str,
        flow_run_id: str,
        dag_id: str,
        run_id: str,
        task_id: str,
        map_index: int = -1,
        flow_container: str | None = None,
        logging_interval: float | None = None,
        startup_timeout: float | None = None,
        wait_for: str = "job",
        exit_codes: Collection[int] = (),
        log_containers: str | list[str] = "flow",
        not_before: float = 0,
        remote_run: str | None = None,
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kubernetes_conn_id = kubernetes_conn_id
        self.namespace = namespace
        self.job_name = job_name
        self.job_uid = job_uid
        self.flow_run_id = flow_run_id
        self.flow_container = flow_container
        self.logging_interval = logging_interval
        self.startup_timeout = startup_timeout
        self.wait_for = wait_for
        self.exit_codes = list(exit_codes)
        self.log_containers = log_containers
        self.not_before = not_before
        self.remote_run = remote_run
        # `task_id` is an attribute of every trigger's, which Airflow writes to.
        self._key = TaskInstanceKey(dag_id, run_id, task_id, map_index)
        self._has_fired = False
        self._kill: asyncio.Task[None] | None = None

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class's path and the arguments that make this trigger again."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {
            "kubernetes_conn_id": self.kubernetes_conn_id,
            "namespace": self.namespace,
            "job_name": self.job_name,
            "job_uid": self.job_uid,
            "flow_run_id": self.flow_run_id,
            "flow_container": self.flow_container,
            "logging_interval": self.logging_interval,
            "startup_timeout": self.startup_timeout,
            "wait_for": self.wait_for,
            "exit_codes": self.exit_codes,
            "log_containers": self.log_containers,
            "not_before": self.not_before,
            "remote_run": self.remote_run,
            **asdict(self._key),
        }

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield the one event.

        :raises ClusterError: the API server is away for too long, or refuses to tell.
        """
        try:
            payload = await self._wait()
        except Exception:
            await self._until_it_may_end()
            raise
        await self._until_it_may_end()
        self._has_fired = True
        yield TriggerEvent(payload)  # type: ignore[no-untyped-call]

    async def _until_it_may_end(self) -> None:
        await asyncio.sleep(max(self.not_before - time.time(), 0))

    async def _wait(self) -> EventPayload:
        """Wait for the flow run's end, or for ``logging_interval``; return the event's payload."""
        from flowjob.logs.tails import PodTails
        from flowjob.wait.shared_watch import shared_watch
        from flowjob.wait.until_end import wait_for_end
        from flowjob.worker.task_questions import task_questions

        task_questions().ask_for_the_first_time(self._key)
        async with (
            shared_watch(self.kubernetes_conn_id, self.namespace) as (cluster, watch),
            PodTails(cluster, LogSelection(self.log_containers)) as tails,
        ):
            try:
                async with asyncio.timeout(self.logging_interval) as interval:
                    observation, outcome = await wait_for_end(
                        cluster,
                        watch,
                        self._job,
                        tails.see,
                        startup_timeout=self.startup_timeout,
                        wait_for=self.wait_for,
                        exit_codes=self.exit_codes,
                    )
            except TimeoutError:
                if not interval.expired():
                    raise
                return EventPayload.going_on(self._job)
            taken = await tails.taken(observation)
            return EventPayload.ended(self._job, observation, outcome, taken)

    async def on_kill(self) -> None:
        """Begin to delete the Job if the task was ended in Airflow (3.3 and later call this)."""
        # Airflow also calls it when another triggerer takes over, and after the event.
        if not self._has_fired:
            self._kill = asyncio.create_task(self._kill_if_ended())

    async def cleanup(self) -> None:
        """Wait for the end of a kill (Airflow calls this at the end of every trigger).

        Airflow cancels a trigger that is to end again and again, each second, and would give
        ``on_kill`` 30 s. A trigger that has ended has no place in its task's log any more.
        """
        if not hasattr(BaseTrigger, "on_kill"):
            await self.on_kill()
        while self._kill is not None and not self._kill.done():
            # A triggerer that ends cancels the kill itself, too.
            with suppress(asyncio.CancelledError):
                await asyncio.shield(self._kill)

    async def _kill_if_ended(self) -> None:
        """Ask Airflow, and delete the Job for as long as the API server may be away."""
        from flowjob.cluster.patience import REFUSALS
        from flowjob.hooks.prefect import flow_connection
        from flowjob.wait.shared_watch import shared_watch
        from flowjob.worker.remote import cancel_remote_run
        from flowjob.worker.task_questions import task_questions

        try:
            async with asyncio.timeout(PATIENCE):
                states = await task_questions().state_of(self._key)
        except Exception as error:
            self.log.error(
                "Airflow does not say what became of the task, so the Job %s goes on: %r",
                self.job_name,
                error,
            )
            return
        if not was_killed(self._key, states):
            return
        self.log.info("The task was ended in Airflow: deleting its Job %s", self.job_name)
        try:
            async with shared_watch(self.kubernetes_conn_id, self.namespace) as (cluster, _):
                await cluster.delete_job(self._job, patience=cluster.patience(REFUSALS))
        except Exception as error:
            self.log.error("The Job %s goes on: %s", self.job_name, error)
        else:
            self.log.info("The Job %s is deleted", self.job_name)
        await cancel_remote_run(self._job, flow_connection, self.log)
        await asyncio.sleep(LAST_LINE)

    @property
    def _job(self) -> KubernetesObject:
        """What is known of the Job before it is seen."""
        job: KubernetesObject = {
            "metadata": {
                "name": self.job_name,
                "namespace": self.namespace,
                "uid": self.job_uid,
                "labels": {FLOW_RUN_ID_LABEL: self.flow_run_id},
                "annotations": {},
            },
            **job_of_flow_container(self.flow_container),
        }
        if self.remote_run is not None:
            annotate(job, REMOTE_RUN, self.remote_run)
        return job
