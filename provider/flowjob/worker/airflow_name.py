"""Which Airflow this is, among those that may share a cluster."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit


def airflow_name() -> str:
    """Return a name that no other Airflow has; empty: there is none for certain.

    It is ``[flowjob] airflow_name``, else the address of the API server (``[api] base_url``), which
    has no default. Airflow has no id of its own that a worker could read.
    """
    from airflow.configuration import conf

    name = conf.get("flowjob", "airflow_name", fallback="")
    return name or name_of_address(conf.get("api", "base_url", fallback=""))


def name_of_address(address: str) -> str:
    """Return the address if it is one that is the same from everywhere, else nothing.

    ``http://localhost:8080``, ``http://airflow-api-server:8080`` or an address within a network
    are those of many Airflows.

    :param address: a URL.
    """
    host = urlsplit(address).hostname or ""
    try:
        is_unique = ipaddress.ip_address(host).is_global
    except ValueError:
        is_unique = "." in host and not host.endswith((".local", ".localhost", ".internal"))
    return address.rstrip("/") if is_unique else ""
