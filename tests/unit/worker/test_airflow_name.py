"""What tells one Airflow from another that shares its cluster."""

from __future__ import annotations

import pytest

from flowjob.worker.airflow_name import airflow_name, name_of_address


@pytest.mark.parametrize(
    "address", ["https://airflow.company.com", "https://company.com/team-a/", "http://8.8.8.8:8080"]
)
def test_a_public_address_tells_which_airflow_it_is(address: str) -> None:
    assert name_of_address(address) == address.rstrip("/")


@pytest.mark.parametrize(
    "address",
    [
        "",
        "/team-a",
        "http://localhost:8080",
        "http://127.0.0.1:8080",
        "http://[::1]:8080",
        "http://10.0.0.7:8080",
        "http://airflow-api-server:8080",
        "http://airflow.default.svc.cluster.local:8080",
    ],
)
def test_an_address_that_many_airflows_have_tells_nothing(address: str) -> None:
    assert name_of_address(address) == ""


def test_a_name_that_was_given_counts_before_the_address(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__API__BASE_URL", "https://airflow.company.com")
    assert airflow_name() == "https://airflow.company.com"
    monkeypatch.setenv("AIRFLOW__FLOWJOB__AIRFLOW_NAME", "production")
    assert airflow_name() == "production"


def test_an_airflow_of_which_nothing_was_said_has_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW__API__BASE_URL", raising=False)
    assert airflow_name() == ""
