"""An Airflow connection of type ``prefect``: what people write in it, and its button "Test"."""

from __future__ import annotations

import json
from typing import Any

import airflow
import pytest
from packaging import version

from flowjob.exceptions import FlowError
from flowjob.hooks.prefect import PrefectHook
from tests.support.prefect_api import (
    HELLO,
    NOT_FOUND,
    PAGE,
    UNAUTHENTICATED,
    PrefectApi,
)

KEY = "pnu_marker4d1c"
SERVER = {
    "GET /api/health": (200, True),
    "GET /api/admin/version": (200, "3.8.8"),
}
WORKSPACE = "/api/accounts/a1/workspaces/w1"
CLOUD = {
    f"GET {WORKSPACE}/health": (200, True),
    f"GET {WORKSPACE}/admin/version": NOT_FOUND,
    f"POST {WORKSPACE}/flows/count": (200, 7),
}
IDS = {"account_id": "a1", "workspace_id": "w1"}


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return a function that makes the connection and gives its hook."""

    def make(**fields: Any) -> PrefectHook:
        connection = {"conn_type": "prefect", "password": KEY, **fields}
        monkeypatch.setenv("AIRFLOW_CONN_PREFECT_DEFAULT", json.dumps(connection))
        return PrefectHook()

    return make


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
        ({"extra": IDS}, f"https://api.prefect.cloud{WORKSPACE}"),
        ({"host": "https://a.example/api/", "extra": IDS}, f"https://a.example{WORKSPACE}"),
    ],
)
def test_the_address_may_be_written_with_and_without_scheme_port_and_workspace(
    connect: Any, fields: dict[str, Any], api_url: str
) -> None:
    told = connect(**fields).get_conn()
    assert (told.api_url, told.api_key, told.tenant_id) == (api_url, KEY, "")


def test_a_tenant_and_a_key_with_a_line_break_are_read(connect: Any) -> None:
    told = connect(password=f"{KEY}\n", extra={"tenant_id": "t1"}).get_conn()
    assert (told.api_key, told.tenant_id) == (KEY, "t1")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"extra": {"account_id": "a1"}}, "without the other: give both, or none"),
        ({"extra": {"workspace_id": "w1"}}, "without the other: give both, or none"),
        ({"host": "https://prefect.example:port"}, "is no URL: write it as https://"),
        ({"host": "https://[prefect"}, "is no URL: write it as https://"),
    ],
)
def test_fields_that_do_not_go_together_are_told_with_the_connection(
    connect: Any, fields: dict[str, Any], message: str
) -> None:
    hook = connect(**fields)
    with pytest.raises(FlowError, match=message):
        hook.get_conn()
    is_good, told = hook.test_connection()
    assert not is_good
    assert "'prefect_default'" in told


@pytest.mark.parametrize(
    ("answers", "path", "extra", "told"),
    [
        ({"POST /graphql": HELLO}, "", {"tenant_id": "t1"}, "Prefect's GraphQL API answers at "),
        (SERVER, "/api", {}, "Prefect 3.8.8 answers at "),
        (CLOUD, "/api", IDS, "Prefect Cloud answers at "),
    ],
    ids=["0.x and 1.x", "2 and later", "Cloud of 2 and later"],
)
def test_the_button_says_which_prefect_answers(
    connect: Any, answers: dict[str, Any], path: str, extra: dict[str, str], told: str
) -> None:
    with PrefectApi(answers, key=KEY) as api:
        hook = connect(host=f"{api.url}{path}", extra=extra)
        assert hook.test_connection() == (True, f"{told}{hook.get_conn().api_url}")
    assert all(asked.headers["Authorization"] == f"Bearer {KEY}" for asked in api.asked)
    assert [asked.headers.get("X-PREFECT-TENANT-ID") for asked in api.asked[:1]] == [
        extra.get("tenant_id")
    ]


def test_the_graphql_query_is_the_one_that_prefects_agent_begins_with(connect: Any) -> None:
    with PrefectApi({"POST /graphql": HELLO}) as api:
        assert connect(host=api.url, password="").test_connection()[0]
    (asked,) = api.asked
    assert asked.body == {"query": "query { hello }"}
    assert "Authorization" not in asked.headers


@pytest.mark.parametrize(
    ("api", "path", "told"),
    [
        (PrefectApi({}, "other"), "", "does not take the API key: make a new one"),
        (PrefectApi({}, "other", UNAUTHENTICATED), "", "does not take the API key: make a new"),
        # Its health is told to anybody.
        (PrefectApi(SERVER, "other"), "/api", "does not take the API key: make a new one"),
        (PrefectApi({**CLOUD, f"POST {WORKSPACE}/flows/count": (403, {})}), WORKSPACE, "does not"),
        (PrefectApi({}), "", "is not Prefect's API: give the address of that"),
        (PrefectApi({"GET /health": PAGE}), "", "is not Prefect's API: give the address of that"),
        (PrefectApi({"POST /graphql": (200, {"data": {}})}), "", "is not Prefect's API: give"),
        (PrefectApi({"POST /graphql": (301, {})}), "", "is not Prefect's API: give the address"),
        (PrefectApi({"POST /graphql": (503, {})}), "", "answers with HTTP 503: try again later"),
    ],
)
def test_what_is_wrong_is_one_sentence_without_the_key(
    connect: Any, api: PrefectApi, path: str, told: str
) -> None:
    with api:
        is_good, message = connect(host=f"{api.url}{path}").test_connection()
    assert not is_good
    assert told in message
    assert api.url in message
    assert KEY not in message
    assert "\n" not in message


def test_a_prefect_that_is_away_is_told_with_the_reason(connect: Any) -> None:
    with PrefectApi({}) as api:
        url = api.url
    is_good, message = connect(host=url).test_connection()
    assert not is_good
    assert f"{url} cannot be reached (" in message
    assert "Connection refused" in message
    assert "check the API address" in message


@pytest.mark.parametrize("key", [f"{KEY}\nX", f"{KEY}é"])
def test_a_key_that_cannot_be_sent_is_not_repeated(connect: Any, key: str) -> None:
    with PrefectApi({"POST /graphql": HELLO}) as api:
        is_good, message = connect(host=api.url, password=key).test_connection()
    assert not is_good
    assert "has a character that no key has: copy it once more" in message
    assert KEY not in message


def test_a_password_in_the_address_is_not_shown(connect: Any) -> None:
    with PrefectApi({"POST /graphql": HELLO}) as api:
        host = api.url.replace("http://", "http://user:s3cret@")
        assert connect(host=host, password="").test_connection() == (
            True,
            f"Prefect's GraphQL API answers at {api.url}",
        )


def test_airflows_button_asks_prefect(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.models.connection import Connection

    with PrefectApi(SERVER, key=KEY) as api:
        connection = Connection(
            conn_id="tried", conn_type="prefect", host=f"{api.url}/api", password=KEY
        )
        # As Airflow's API server does it for the button.
        monkeypatch.setenv("AIRFLOW_CONN_TRIED", connection.get_uri())
        told = connection.test_connection()  # type: ignore[no-untyped-call]
        assert told == (True, f"Prefect 3.8.8 answers at {api.url}/api")


@pytest.mark.skipif(
    version.parse(airflow.__version__) < version.parse("3.2"),
    reason="Airflow 3.1 takes no form from a provider's description",
)
def test_airflows_form_has_the_fields_of_both_generations() -> None:
    from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService

    (form,) = (
        form for form in HookMetaService.hook_meta_data() if form.connection_type == "prefect"
    )
    assert form.hook_name == "Prefect"
    assert form.standard_fields is not None
    fields = form.standard_fields.model_dump()
    assert (fields["host"]["title"], fields["password"]["title"]) == ("API URL", "API key")
    assert (fields["login"]["hidden"], fields["url_schema"]["hidden"]) == (True, True)
    assert list(form.extra_fields or {}) == ["tenant_id", "account_id", "workspace_id"]


def test_airflow_3_1_gets_the_names_of_the_fields_from_the_hook() -> None:
    assert PrefectHook.get_ui_field_behaviour() == {
        "hidden_fields": ["schema", "login"],
        "relabeling": {"host": "API URL", "password": "API key"},
        "placeholders": {"host": "https://api.prefect.io, or http://prefect:4200/api"},
    }
