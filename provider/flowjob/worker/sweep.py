"""Find and delete the Jobs of this Airflow that nobody waits for any more."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from flowjob.cluster.api_server import Cluster
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

    That is the active ones, and those that ``on_finish`` was to delete, whose worker died first.
    What cannot be deleted, or asked about, does not keep the rest from it.

    :param kubernetes_conn_id: Airflow connection of the cluster, of type ``kubernetes``.
    :param namespace: the namespace to look in; None: all.
    :param connect: reads the Airflow connection of a Prefect that knows a flow run, too.
    :param dry_run: only say which Jobs would be deleted.
    :param log: takes a line for each of them.
    :returns: their names, each as ``namespace/name``.
    :raises FlowError: nobody can tell this Airflow's Jobs from those of another.
    :raises ClusterError: the Jobs cannot be listed, or some of them were left.
    """
    airflow = airflow_name()
    if not airflow:
        raise FlowError(
            "the sweep cannot tell the Jobs of this Airflow from those of another: set "
            "[flowjob] airflow_name to a name that no other Airflow has, for all its workers"
        )
    swept: list[str] = []
    left: list[str] = []
    with LoopThread() as loop, loop.use(Cluster(kubernetes_conn_id)) as cluster:
        jobs = loop.run(cluster.list_jobs(namespace, FLOW_RUN_ID_LABEL))
        for job, why in _abandoned(_owned(jobs, airflow), log, left):
            name = "{namespace}/{name}".format_map(job["metadata"])
            if dry_run:
                log.info("Would delete the Job %s: %s", name, why)
                swept.append(name)
                continue
            try:
                # One that has changed since, such as to Complete, may have its task alive again.
                is_deleted = loop.run(cluster.delete_job(job, if_unchanged=True))
            except ClusterError as error:
                log.error("Left the Job %s, although %s: %s", name, why, error)
                left.append(str(error))
                continue
            if is_deleted:
                log.info("Deleted the Job %s: %s", name, why)
                if is_active(job):
                    loop.run(cancel_remote_run(job, connect, log))
                swept.append(name)
            else:
                log.info("Left the Job %s alone, as it has just changed: %s", name, why)
    if left:
        raise ClusterError(
            f"the sweep deleted {len(swept)} Jobs and had to leave others; the first of "
            f"{len(left)} reasons: {left[0]}"
        )
    return swept


def _owned(
    jobs: Iterable[KubernetesObject], airflow: str
) -> dict[TaskInstanceKey, list[KubernetesObject]]:
    """Return the Jobs that are not to stay and are this Airflow's, by whose they are."""
    owned: dict[TaskInstanceKey, list[KubernetesObject]] = defaultdict(list)
    for job in jobs:
        is_own = annotation(job, "airflow") == airflow and is_named_after_its_flow_run(job)
        key = task_instance_of(job)
        if key and is_own and not _may_stay(job) and not is_being_deleted(job):
            owned[key].append(job)
    return owned


def _may_stay(job: KubernetesObject) -> bool:
    """Tell whether a Job has ended and ``on_finish`` keeps it."""
    succeeded = true_condition(job, "Failed") is None
    return not is_active(job) and is_kept(annotation(job, ON_FINISH) or "keep", succeeded=succeeded)


def _abandoned(
    owned: Mapping[TaskInstanceKey, list[KubernetesObject]], log: Any, left: list[str]
) -> Iterator[tuple[KubernetesObject, str]]:
    """Yield the Jobs that nobody waits for, and why; add to ``left`` what is not known."""
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
                for job in owned[key]:
                    yield job, why
