"""The buttons of a task in Airflow's UI.

Airflow finds the address behind each in an XCom, which our worker pushes as soon as the Job is
there; at the end of each step of a task it writes there once more what ``get_link`` returns.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperatorLink

from flowjob.flow_run import TaskInstanceKey
from flowjob.flows import PrefectDeployment
from flowjob.worker.run_links import page_of, templates

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey as AirflowKey


class FlowRunsLink(BaseOperatorLink):
    """Opens the page of flow runs at this one."""

    name = "Flow runs"

    def get_link(self, operator: BaseOperator, *, ti_key: AirflowKey) -> str:
        """Return the page's address."""
        names = ti_key.dag_id, ti_key.run_id, ti_key.task_id
        return page_of(
            TaskInstanceKey(*names, -1 if ti_key.map_index is None else ti_key.map_index)
        )


class _PushedLink(BaseOperatorLink):
    """Opens what the worker has pushed."""

    def get_link(self, operator: BaseOperator, *, ti_key: AirflowKey) -> str:
        """Return it."""
        return _pushed(self.xcom_key, ti_key) or ""


class KubernetesLink(_PushedLink):
    """Opens the Job in the console that ``[flowjob] job_url`` names."""

    name = "Kubernetes"


class LogsLink(_PushedLink):
    """Opens the flow's log in the console that ``[flowjob] log_url`` names."""

    name = "Logs"


class PrefectLink(BaseOperatorLink):
    """Opens the flow run in Prefect's UI, of a flow that Prefect knows, too."""

    name = "Prefect"

    def get_link(self, operator: BaseOperator, *, ti_key: AirflowKey) -> str:
        """Return the flow run's address there."""
        from flowjob.worker.xcom import REMOTE_RUN

        return (_pushed(REMOTE_RUN, ti_key) or {}).get("url") or ""


_FLOW_RUNS, _PREFECT = FlowRunsLink(), PrefectLink()
_CONSOLES = {link.xcom_key: link for link in (KubernetesLink(), LogsLink())}


def links_of(operator: Any) -> Collection[BaseOperatorLink]:
    """Return an operator's buttons: only those that can lead somewhere.

    :param operator: the operator, or what Airflow makes of a mapped one.
    """
    arguments = getattr(operator, "partial_kwargs", None) or vars(operator)
    prefect = (_PREFECT,) if isinstance(arguments.get("flow"), PrefectDeployment) else ()
    return _FLOW_RUNS, *(_CONSOLES[key] for key in templates()), *prefect


def _pushed(key: str, ti_key: AirflowKey) -> Any:
    from airflow.sdk.execution_time.xcom import XCom

    return XCom.get_value(key=key, ti_key=ti_key)
