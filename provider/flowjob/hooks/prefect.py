"""The Airflow connection type ``prefect``."""

from __future__ import annotations

from typing import Any, ClassVar
from urllib.parse import urlsplit, urlunsplit

from airflow.sdk import BaseHook

from flowjob import PREFECT_CONNECTION
from flowjob.exceptions import FlowError, RemoteError
from flowjob.flows.base import FlowConnection

# Of Prefect 0.x and 1.x, and of 2 and later.
DEFAULT_API_URL = "https://api.prefect.io"
DEFAULT_WORKSPACES_URL = "https://api.prefect.cloud/api"


class PrefectHook(BaseHook):
    """Reads a connection of type ``prefect``: where Prefect's API is and the key for it.

    :param prefect_conn_id: id of the connection. Its host is the API's address, with or without
        ``https://``: by default Prefect Cloud's, of Prefect 2 and later a server's with ``/api``.
        Its password is the API key. Its extra may have ``tenant_id`` (Prefect 0.x and 1.x), or
        ``account_id`` and ``workspace_id`` (Prefect Cloud of Prefect 2 and later).
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
        """Name the fields in the form of Airflow 3.1; later ones ask ``get_provider_info``."""
        behaviour = PREFECT_CONNECTION["ui-field-behaviour"]
        return {name.replace("-", "_"): value for name, value in behaviour.items()}

    def get_conn(self) -> FlowConnection:
        """Return what a flow needs to reach Prefect.

        :raises AirflowNotFoundException: there is no such connection.
        :raises FlowError: its fields do not go together.
        """
        connection = self.get_connection(self.prefect_conn_id)
        extra: dict[str, str] = connection.extra_dejson
        account, workspace = extra.get("account_id"), extra.get("workspace_id")
        if bool(account) != bool(workspace):
            raise FlowError(
                f"the Airflow connection {self.prefect_conn_id!r} has an account or a workspace of "
                "Prefect Cloud without the other: give both, or none"
            )
        default = DEFAULT_WORKSPACES_URL if account else DEFAULT_API_URL
        url = connection.host or default
        if "://" not in url:
            url = f"{connection.schema or 'https'}://{url}"
        url = self._with_port(url, connection.port)
        if account:
            url = f"{url}/accounts/{account}/workspaces/{workspace}"
        key = (connection.password or "").strip()
        return FlowConnection(url, key, extra.get("tenant_id") or "")

    def test_connection(self) -> tuple[bool, str]:
        """Ask Prefect whether it is there and takes the key (Airflow's button "Test").

        :returns: whether it does, and a sentence: what answers, or what is wrong and what helps.
        """
        from flowjob.prefect.greeting import greet

        try:
            return True, greet(self.get_conn())
        except (FlowError, RemoteError) as error:
            return False, str(error)

    def _with_port(self, url: str, port: int | None) -> str:
        """Put a port where it belongs, before the path, unless the address has one."""
        try:
            parts = urlsplit(url)
            has_port = parts.port is not None
        except ValueError:
            raise FlowError(
                f"the API address of the Airflow connection {self.prefect_conn_id!r} is no URL: "
                f"write it as {DEFAULT_API_URL}"
            ) from None
        if port is None or has_port:
            return url.rstrip("/")
        return urlunsplit(parts._replace(netloc=f"{parts.netloc}:{port}")).rstrip("/")


def flow_connection(prefect_conn_id: str) -> FlowConnection:
    """Read a connection of type ``prefect``; see ``PrefectHook.get_conn``."""
    return PrefectHook(prefect_conn_id).get_conn()
