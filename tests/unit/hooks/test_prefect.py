"""An Airflow connection of type ``prefect``, in the forms that people write it in."""

from __future__ import annotations

import json
from typing import Any

import pytest

from flowjob.hooks.prefect import PrefectHook


@pytest.mark.parametrize(
    ("fields", "api_url"),
    [
        ({}, "https://api.prefect.io"),
        ({"host": "prefect.example"}, "https://prefect.example"),
        ({"host": "http://prefect.example"}, "http://prefect.example"),
        ({"host": "prefect.example", "schema": "http"}, "http://prefect.example"),
        ({"host": "https://prefect.example/", "port": 4200}, "https://prefect.example:4200"),
        ({"host": "https://a.example/api", "port": 4200}, "https://a.example:4200/api"),
        ({"host": "a.example:8080/api", "port": 4200}, "https://a.example:8080/api"),
    ],
)
def test_the_address_may_be_written_with_and_without_scheme_and_port(
    fields: dict[str, Any], api_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection = {"conn_type": "prefect", "password": "key", **fields}
    monkeypatch.setenv("AIRFLOW_CONN_PREFECT_DEFAULT", json.dumps(connection))
    told = PrefectHook().get_conn()
    assert (told.api_url, told.api_key) == (api_url, "key")
