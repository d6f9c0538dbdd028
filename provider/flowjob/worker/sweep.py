"""Find and delete the Jobs of this Airflow that nobody waits for any more."""

from __future__ import annotations

from typing import Any

from flowjob.cluster.api_server import Cluster
from flowjob.flow_run import FLOW_RUN_ID_LABEL, TaskInstanceKey, annotation, task_instance_of
from flowjob.kubernetes_object import KubernetesObject
from flowjob.status.job import is_active, is_being_deleted
from flowjob.worker.loop_thread import LoopThread
from flowjob.worker.task_states import TaskStates, airflow_address, has_ended, task_states


def sweep(kubernetes_conn_id: str, namespace: str | None, *, dry_run: bool, log: Any) -> list[str]:
    """Delete the active Jobs whose task instance has ended or is gone.

    :param kubernetes_conn_id: Airflow connection of the cluster, of type ``kubernetes``.
    :param namespace: the namespace to look in; None: all.
    :param dry_run: only say which Jobs would be deleted.
    :param log: takes a line for each of them.
    :returns: their names, each as ``namespace/name``.
    :raises ClusterError: the cluster gave no usable answer.
    """
    swept = []
    with LoopThread() as loop, loop.use(Cluster(kubernetes_conn_id)) as cluster:
        jobs = loop.run(cluster.list_jobs(namespace, FLOW_RUN_ID_LABEL))
        for job, key, state in _abandoned(jobs, log):
            name = "{namespace}/{name}".format_map(job["metadata"])
            why = f"{key} {'is gone' if state is None else f'has ended ({state})'}"
            if dry_run:
                log.info("Would delete the Job %s: %s", name, why)
            # One that has changed since, such as to Complete, may have its task alive again.
            elif loop.run(cluster.delete_job(job, if_unchanged=True)):
                log.info("Deleted the Job %s: %s", name, why)
            else:
                log.info("Left the Job %s alone, as it has just changed: %s", name, why)
                continue
            swept.append(name)
    return swept


def _abandoned(
    jobs: list[KubernetesObject], log: Any
) -> list[tuple[KubernetesObject, TaskInstanceKey, str | None]]:
    """Return the Jobs that nobody waits for, whose they are, and the state of that."""
    airflow = airflow_address()
    owned = [
        (job, key)
        for job in jobs
        if is_active(job) and not is_being_deleted(job)
        if annotation(job, "airflow") == airflow
        if (key := task_instance_of(job))
    ]
    states_by_dag = {
        dag_id: _states_of(dag_id, [key for _, key in owned if key.dag_id == dag_id], log)
        for dag_id in sorted({key.dag_id for _, key in owned})
    }
    return [
        (job, key, states.get(key))
        for job, key in owned
        if (states := states_by_dag[key.dag_id]) is not None and has_ended(key, states)
    ]


def _states_of(dag_id: str, keys: list[TaskInstanceKey], log: Any) -> TaskStates | None:
    try:
        return task_states(keys)
    except Exception as error:
        log.warning("Airflow gives no answer about the DAG %s: %r", dag_id, error)
        return None
