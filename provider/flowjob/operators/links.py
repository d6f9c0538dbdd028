"""The buttons of a task in Airflow's UI."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperatorLink

from flowjob.flows import PrefectDeployment

if TYPE_CHECKING:
    from airflow.sdk import BaseOperator
    from airflow.sdk.types import TaskInstanceKey


class PrefectLink(BaseOperatorLink):
    """Opens the flow run in Prefect's UI, of a flow that Prefect knows, too.

    Airflow finds the address in an XCom, which is there as soon as the Job is.
    """

    name = "Prefect"

    def get_link(self, operator: BaseOperator, *, ti_key: TaskInstanceKey) -> str:
        """Return what Airflow writes to that XCom again, at the end of each step of a task."""
        from airflow.sdk.execution_time.xcom import XCom

        from flowjob.worker.xcom import REMOTE_RUN

        told: Any = XCom.get_value(key=REMOTE_RUN, ti_key=ti_key)
        return (told or {}).get("url") or ""


_PREFECT = PrefectLink()


def links_of(operator: Any) -> Collection[BaseOperatorLink]:
    """Return an operator's buttons: none where Airflow alone knows its flow run.

    :param operator: the operator, or what Airflow makes of a mapped one.
    """
    arguments = getattr(operator, "partial_kwargs", None) or vars(operator)
    return (_PREFECT,) if isinstance(arguments.get("flow"), PrefectDeployment) else ()
