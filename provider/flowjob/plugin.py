"""The Airflow plugin ``flowjob`` (entry point ``airflow.plugins``)."""

from __future__ import annotations

from airflow.configuration import conf
from airflow.plugins_manager import AirflowPlugin

from flowjob import preload


class FlowJobPlugin(AirflowPlugin):
    """Registers the listener that preloads, where ``[flowjob] preload = True`` asks for it.

    Not by default: any registered listener makes an import error of each DAG that uses
    ``end_from_trigger=True``.
    """

    name = "flowjob"
    listeners = [preload] if conf.getboolean("flowjob", "preload", fallback=False) else []
