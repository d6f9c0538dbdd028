"""``FlowJobSweepOperator``: delete the Jobs that nobody waits for any more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

if TYPE_CHECKING:
    from airflow.sdk import Context


class FlowJobSweepOperator(BaseOperator):
    """Delete the Jobs of this Airflow whose task instance has ended or is gone.

    That is the active ones, and those that ``on_finish`` was to delete; and the Secrets that no Job
    came for, where Secrets may be listed.

    There are moments in which Airflow tells nobody that a task was ended, and workers that die on
    a last try; what they leave behind runs on without this. A Job whose task instance is alive, or
    about which Airflow gives no answer, is left alone, and so is one of another Airflow (told by
    ``[flowjob] airflow_name``, else by ``[api] base_url`` where that is no local address; the task
    fails where neither tells). The names of the Jobs are the ``return_value``. What could not be
    deleted or asked about fails the task, after all the others were.

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

        :raises AirflowFailException: nobody can tell this Airflow's Jobs from those of another.
        :raises ClusterError: the Jobs cannot be listed, or some of them had to be left.
        """
        from flowjob.hooks.prefect import flow_connection
        from flowjob.worker.errors import WithoutFrames, errors_told
        from flowjob.worker.sweep import sweep

        with WithoutFrames(), errors_told(self.log):
            return sweep(
                self.kubernetes_conn_id,
                self.namespace,
                flow_connection,
                dry_run=self._dry_run,
                log=self.log,
            )
