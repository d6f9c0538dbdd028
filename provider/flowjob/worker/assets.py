"""What a flow run says of the assets that it has brought up to date."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flowjob.flow_run import flow_run_id_of
from flowjob.kubernetes_object import KubernetesObject

if TYPE_CHECKING:
    from airflow.sdk import Context


def tell_assets(context: Context, job: KubernetesObject | None, result: Any) -> None:
    """Have the events of the task's assets carry the flow run's id and the flow's result.

    What the task's own code (``pre_execute``) has put into an event's ``extra`` stays. An alias has
    no event before somebody says of which asset.

    :param context: Airflow's context of a task that has succeeded.
    :param job: the flow run's Job; None: it is gone.
    :param result: the flow's result; None: there is none, or it is not wanted.
    """
    from airflow.sdk import Asset
    from airflow.sdk.definitions.asset import AssetRef

    told: dict[str, Any] = {} if job is None else {"flow_run_id": flow_run_id_of(job)}
    if result is not None:
        told["result"] = result
    for outlet in context["task"].outlets:
        if isinstance(outlet, Asset | AssetRef):
            extra = context["outlet_events"][outlet].extra
            extra.update({name: told[name] for name in told.keys() - extra.keys()})
