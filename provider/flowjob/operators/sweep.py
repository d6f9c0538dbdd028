"""``FlowJobSweepOperator``: delete the Jobs that nobody waits for any more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from flowjob.flow_run import FLOW_RUN_ID_LABEL, TaskInstanceKey, annotation, task_instance_of
from flowjob.kubernetes_object import KubernetesObject
from flowjob.status.job import is_active, is_being_deleted
from flowjob.worker.task_states import TaskStates, airflow_address, has_ended, task_states

if TYPE_CHECKING:
    from airflow.sdk import Context


class FlowJobSweepOperator(BaseOperator):
    """Delete the active Jobs of this Airflow whose task instance has ended or is gone.

    There are moments in which Airflow tells nobody that a task was ended, and workers that die on
    a last try; what they leave behind runs on without this. A Job whose task instance is alive, or
    about which Airflow gives no answer, is left alone, and so is one of another Airflow (told by
    ``[api] base_url``). The names of the Jobs are the ``return_value``.

    :param namespace: the Kubernetes namespace to look in; default: all that the connection may
        list. (templated)
    :param dry_run: only say which Jobs would be deleted.
    :param kubernetes_conn_id: Airflow connection of the cluster, of type ``kubernetes``.
        (templated)
    """

    template_fields: Sequence[str] = ("namespace", "kubernetes_conn_id")
    ui_color = "#326ce5"
    ui_fgcolor = "#fff"

    def __init__(
        self,
        *,
        namespace: str | None = None,
        dry_run: bool = False,
        kubernetes_conn_id: str = "kubernetes_default",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.namespace = namespace
        # Not `dry_run`, which is a method of every operator.
        self._dry_run = dry_run
        self.kubernetes_conn_id = kubernetes_conn_id

    def execute(self, context: Context) -> list[str]:
        """Delete the Jobs and return their names, each as ``namespace/name``.

        :raises ClusterError: the cluster gave no usable answer.
        """
        from flowjob.cluster.api_server import Cluster
        from flowjob.worker.loop_thread import LoopThread

        swept = []
        with LoopThread() as loop, loop.use(Cluster(self.kubernetes_conn_id)) as cluster:
            jobs = loop.run(cluster.list_jobs(self.namespace, FLOW_RUN_ID_LABEL))
            for job, key, state in self._abandoned(jobs):
                name = "{namespace}/{name}".format_map(job["metadata"])
                why = f"{key} {'is gone' if state is None else f'has ended ({state})'}"
                if self._dry_run:
                    self.log.info("Would delete the Job %s: %s", name, why)
                # One that has changed since, such as to Complete, may have its task alive again.
                elif loop.run(cluster.delete_job(job, if_unchanged=True)):
                    self.log.info("Deleted the Job %s: %s", name, why)
                else:
                    self.log.info("Left the Job %s alone, as it has just changed: %s", name, why)
                    continue
                swept.append(name)
        return swept

    def _abandoned(
        self, jobs: list[KubernetesObject]
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
            dag_id: self._states_of(dag_id, [key for _, key in owned if key.dag_id == dag_id])
            for dag_id in sorted({key.dag_id for _, key in owned})
        }
        return [
            (job, key, states.get(key))
            for job, key in owned
            if (states := states_by_dag[key.dag_id]) is not None and has_ended(key, states)
        ]

    def _states_of(self, dag_id: str, keys: list[TaskInstanceKey]) -> TaskStates | None:
        try:
            return task_states(keys)
        except Exception as error:
            self.log.warning("Airflow gives no answer about the DAG %s: %r", dag_id, error)
            return None
