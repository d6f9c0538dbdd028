"""Find and delete the Jobs and Secrets of this Airflow that nobody waits for any more."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from flowjob.cluster.api_server import Cluster
from flowjob.cluster.secrets import Secrets
from flowjob.exceptions import ClusterError, FlowError
from flowjob.flow_run import (
    FLOW_RUN_ID_LABEL,
    ON_FINISH,
    TaskInstanceKey,
    annotation,
    is_kept,
    is_named_after_its_flow_run,
    task_instance_of,
)
from flowjob.flows.base import FlowConnection
from flowjob.kubernetes_object import KubernetesObject
from flowjob.status.job import is_active, is_being_deleted, true_condition
from flowjob.worker.airflow_name import airflow_name
from flowjob.worker.loop_thread import LoopThread
from flowjob.worker.remote import cancel_remote_run
from flowjob.worker.task_states import has_ended, portions, task_states


def sweep(
    kubernetes_conn_id: str,
    namespace: str | None,
    connect: Callable[[str], FlowConnection],
    *,
    dry_run: bool,
    log: Any,
) -> list[str]:
    """Delete the Jobs whose task instance has ended or is gone, but those that may stay.

    That is the active ones, and those that ``on_finish`` was to delete, whose worker died first;
    and the Secrets that no Job came for. What cannot be deleted, or asked about, does not keep the
    rest from it.

    :param kubernetes_conn_id: Airflow connection of the cluster, of type ``kubernetes``.
    :param namespace: the namespace to look in; None: all.
    :param connect: reads the Airflow connection of a Prefect that knows a flow run, too.
    :param dry_run: only say what would be deleted.
    :param log: takes a line for each.
    :returns: the Jobs' names, each as ``namespace/name``.
    :raises FlowError: nobody can tell this Airflow's Jobs from those of another.
    :raises ClusterError: they cannot be listed, or some of them were left.
    """
    airflow = airflow_name()
    if not airflow:
        raise FlowError(
            "the sweep cannot tell the Jobs of this Airflow from those of another: set "
            "[flowjob] airflow_name to a name that no other Airflow has, for all its workers"
        )
    with LoopThread() as loop, loop.use(Cluster(kubernetes_conn_id)) as cluster:
        sweeping = _Sweeping(loop, airflow, dry_run, log)
        jobs = loop.run(cluster.list_jobs(namespace, FLOW_RUN_ID_LABEL))
        left = [job for job in jobs if not _may_stay(job)]

        async def delete_job(job: KubernetesObject) -> bool:
            # One that has changed since, such as to Complete, may have its task alive again.
            is_deleted = await cluster.delete_job(job, if_unchanged=True)
            if is_deleted and is_active(job):
                await cancel_remote_run(job, connect, log)
            return is_deleted

        swept = sweeping.delete("Job", left, delete_job)
        secrets = Secrets(cluster)
        loose = loop.run(secrets.without_owner(namespace))
        if loose is None:
            log.info("Secrets that no Job came for are not looked for, as they may not be listed")
        else:
            sweeping.delete("Secret", loose, partial(secrets.delete, if_unchanged=True))
    sweeping.raise_if_any_was_left()
    return swept


class _Sweeping:
    """Deletes what is this Airflow's and nobody waits for any more, and keeps count."""

    def __init__(self, loop: LoopThread, airflow: str, dry_run: bool, log: Any) -> None:
        self._loop = loop
        self._airflow = airflow
        self._dry_run = dry_run
        self._log = log
        self._deleted = 0
        self._left: list[str] = []

    def delete(
        self,
        kind: str,
        items: Iterable[KubernetesObject],
        delete: Callable[[KubernetesObject], Coroutine[Any, Any, bool]],
    ) -> list[str]:
        """Delete those whose task instance has ended or is gone.

        :param kind: what they are.
        :param delete: deletes one that has not changed.
        :returns: their names, each as ``namespace/name``.
        """
        names = []
        for item, why in _abandoned(_owned(items, self._airflow), self._log, self._left):
            name = "{namespace}/{name}".format_map(item["metadata"])
            if self._dry_run:
                self._log.info("Would delete the %s %s: %s", kind, name, why)
                names.append(name)
                continue
            try:
                is_deleted = self._loop.run(delete(item))
            except ClusterError as error:
                self._log.error("Left the %s %s, although %s: %s", kind, name, why, error)
                self._left.append(str(error))
                continue
            if is_deleted:
                self._log.info("Deleted the %s %s: %s", kind, name, why)
                names.append(name)
            else:
                told = "Left the %s %s alone, as it has just changed: %s"
                self._log.info(told, kind, name, why)
        self._deleted += len(names)
        return names

    def raise_if_any_was_left(self) -> None:
        """Tell of what could not be deleted or asked about.

        :raises ClusterError: there is some.
        """
        if self._left:
            raise ClusterError(
                f"the sweep deleted {self._deleted} Jobs and Secrets and had to leave others; the "
                f"first of {len(self._left)} reasons: {self._left[0]}"
            )


def _owned(
    items: Iterable[KubernetesObject], airflow: str
) -> dict[TaskInstanceKey, list[KubernetesObject]]:
    """Return the Jobs or Secrets that are this Airflow's, by whose they are."""
    owned: dict[TaskInstanceKey, list[KubernetesObject]] = defaultdict(list)
    for item in items:
        is_own = annotation(item, "airflow") == airflow and is_named_after_its_flow_run(item)
        key = task_instance_of(item)
        if key and is_own and not is_being_deleted(item):
            owned[key].append(item)
    return owned


def _may_stay(job: KubernetesObject) -> bool:
    """Tell whether a Job has ended and ``on_finish`` keeps it."""
    succeeded = true_condition(job, "Failed") is None
    return not is_active(job) and is_kept(annotation(job, ON_FINISH) or "keep", succeeded=succeeded)


def _abandoned(
    owned: Mapping[TaskInstanceKey, list[KubernetesObject]], log: Any, left: list[str]
) -> Iterator[tuple[KubernetesObject, str]]:
    """Yield what nobody waits for, and why; add to ``left`` what is not known."""
    for portion in portions(owned):
        try:
            states = task_states(portion)
        except Exception as error:
            log.warning("Airflow gives no answer about %s tasks: %r", len(portion), error)
            left.append(f"Airflow gives no answer about {portion[0]}")
            continue
        for key in portion:
            if has_ended(key, states):
                state = states.get(key)
                why = f"{key} {'is gone' if state is None else f'has ended ({state})'}"
                for item in owned[key]:
                    yield item, why
