"""The Airflow connection type ``prefect``."""

from __future__ import annotations

from typing import Any, ClassVar
from urllib.parse import urlsplit, urlunsplit

from airflow.sdk import BaseHook

from flowjob.flows.base import FlowConnection

DEFAULT_API_URL = "https://api.prefect.io"


class PrefectHook(BaseHook):
    """Reads a connection of type ``prefect``: where Prefect's API is and the key for it.

    :param prefect_conn_id: id of the connection; its host is the API's address (with or without
        ``https://``, default Prefect Cloud's), its password the API key.
    """

    conn_name_attr: ClassVar[str] = "prefect_conn_id"
    default_conn_name: ClassVar[str] = "prefect_default"
    conn_type: ClassVar[str] = "prefect"
    hook_name: ClassVar[str] = "Prefect"

    def __init__(self, prefect_conn_id: str = default_conn_name) -> None:
        super().__init__()
        self.prefect_conn_id = prefect_conn_id

    @classmethod
    def get_ui_field_behaviour(cls) -> dict[str, Any]:
        """Name the fields in Airflow's connection form."""
        return {
            "hidden_fields": ["schema", "login", "extra"],
            "relabeling": {"host": "API address", "password": "API key"},
            "placeholders": {"host": DEFAULT_API_URL},
        }

    def get_conn(self) -> FlowConnection:
        """Return what a flow needs to reach Prefect.

        :raises AirflowNotFoundException: there is no such connection.
        """
        connection = self.get_connection(self.prefect_conn_id)
        url = connection.host or DEFAULT_API_URL
        if "://" not in url:
            url = f"{connection.schema or 'https'}://{url}"
        return FlowConnection(_with_port(url, connection.port), connection.password or "")


def flow_connection(prefect_conn_id: str) -> FlowConnection:
    """Read a connection of type ``prefect``; see ``PrefectHook.get_conn``."""
    return PrefectHook(prefect_conn_id).get_conn()


def _with_port(url: str, port: int | None) -> str:
    """Put a port where it belongs, before the path, unless the address has one."""
    parts = urlsplit(url)
    if port is None or parts.port is not None:
        return url.rstrip("/")
    return urlunsplit(parts._replace(netloc=f"{parts.netloc}:{port}")).rstrip("/")
