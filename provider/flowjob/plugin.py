"""The Airflow plugin ``flowjob`` (entry point ``airflow.plugins``)."""

from __future__ import annotations

from typing import Any

from airflow.configuration import conf
from airflow.plugins_manager import AirflowPlugin

from flowjob import preload
from flowjob.ui.lazy_app import LazyApp

_NAME = "flowjob"
# Relative to the address of Airflow's UI, whatever path a proxy gives it.
_PAGE = f"{_NAME}/"
_OF_DAG = f"{_PAGE}?dag_id={{DAG_ID}}"
_OF_RUN = f"{_OF_DAG}&run_id={{RUN_ID}}"
_OF_TASK = f"{_OF_RUN}&task_id={{TASK_ID}}&map_index={{MAP_INDEX}}"


def _view(name: str, route: str, destination: str, href: str) -> dict[str, Any]:
    return {"name": name, "url_route": route, "destination": destination, "href": href}


_APPS = [{"app": LazyApp(), "url_prefix": f"/{_NAME}", "name": "FlowJob"}]
# In the navigation, and as a tab of each DAG, run and task instance.
_VIEWS = [
    _view("Flow runs", "flow_runs", "nav", _PAGE) | {"category": "browse"},
    _view("Flow runs", "flow_runs_of_dag", "dag", _OF_DAG),
    _view("Flow runs", "flow_runs_of_run", "dag_run", _OF_RUN),
    _view("Flow run", "flow_run", "task_instance", _OF_TASK),
]


class FlowJobPlugin(AirflowPlugin):
    """Registers the page of flow runs, and the listener that preloads where that is wanted.

    The listener only with ``[flowjob] preload = True``: any registered listener makes an import
    error of each DAG that uses ``end_from_trigger=True``.
    """

    name = _NAME
    listeners = [preload] if conf.getboolean("flowjob", "preload", fallback=False) else []
    fastapi_apps = _APPS
    external_views = _VIEWS
