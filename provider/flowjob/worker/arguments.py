"""``TryArguments``: what the operator asks of one try of its task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flowjob.launch.manifest import JobArguments
from flowjob.logs.selection import LogSelection
from flowjob.spec.job_spec import JobSpec


@dataclass(frozen=True)
class TryArguments:
    """The operator's arguments, rendered, with the job spec loaded; see ``FlowJobOperator``.

    :param kubernetes_conn_id: Airflow connection of the cluster.
    :param spec: the user's job spec.
    :param job: what is to be made of it.
    :param deferrable: wait in the triggerer.
    :param defer_after: seconds for which to wait in the worker before that; 0 or less: none.
    :param startup_timeout: seconds that the flow container may take to start; None: any number.
    :param wait_for: ``"job"`` or ``"flow"``.
    :param log_containers: ``"flow"``, ``"all"``, or the names of containers.
    :param skip_on_exit_code: exit codes that skip the task.
    :param deadline: when the task times out (seconds since the epoch) if its try begins with this
        step; None: never.
    :param wants_result: whether the flow's result is to be returned (``do_xcom_push``).
    :param multiple_outputs: whether Airflow makes an XCom of each key of the result.
    """

    kubernetes_conn_id: str
    spec: JobSpec
    job: JobArguments
    deferrable: bool
    defer_after: float
    startup_timeout: float | None
    wait_for: str
    log_containers: str | Sequence[str]
    skip_on_exit_code: frozenset[int]
    deadline: float | None
    wants_result: bool
    multiple_outputs: bool

    @property
    def log_selection(self) -> LogSelection:
        """Whose lines come into the task's log."""
        return LogSelection(self.log_containers, by_pod=self.spec.has_many_pods)
