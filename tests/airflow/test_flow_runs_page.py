"""The page of flow runs: what its routes tell, and whom."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from flowjob.ui.live_log import MOST_STREAMS
from tests.support.airflow.component import Component
from tests.support.airflow.fixtures import CHECKOUT
from tests.support.airflow.instance import AirflowInstance
from tests.support.airflow.two_users import PASSWORDS, TwoUsers
from tests.support.free_port import free_port
from tests.support.wait import wait_for

Page = Callable[..., list[dict[str, Any]]]

# Seconds.
_START = 120
# Where Airflow has them, and what the flow prints of them.
OF_ENVIRONMENT, OF_CONNECTION, OF_EXTRA, OF_VARIABLE = (
    "of-environment-71c0",
    "of-connection-b2aa",
    "of-extra-4f1e",
    "of-variable-9d03",
)
SECRETS = (OF_ENVIRONMENT, OF_CONNECTION, OF_EXTRA, OF_VARIABLE)


@contextmanager
def signed_in(url: str, user: str | None = None) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=url, timeout=60, trust_env=False) as client:
        if user is not None:
            body = {"username": user, "password": PASSWORDS[user]}
            answer = client.post("/auth/token", json=body).raise_for_status()
            client.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        yield client


@pytest.fixture(scope="module")
def guarded_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The log of the second API server."""
    return tmp_path_factory.mktemp("guarded") / "log"


@pytest.fixture(scope="module")
def guarded(airflow: AirflowInstance, guarded_log: Path) -> Iterator[str]:
    """A second API server of the same Airflow, which asks people who they are; its address."""
    folder, port = guarded_log.parent, free_port()
    passwords = folder / "passwords.json"
    passwords.write_text(json.dumps(PASSWORDS))
    url = f"http://127.0.0.1:{port}"
    settings = {
        "AIRFLOW__API__BASE_URL": url,
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__CORE__AUTH_MANAGER": f"{TwoUsers.__module__}.{TwoUsers.__name__}",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS": "False",
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": ",".join(f"{u}:viewer" for u in PASSWORDS),
        "AIRFLOW_CONN_OF_THE_SERVER": f"generic://user:{OF_ENVIRONMENT}@host",
        "PYTHONPATH": os.pathsep.join([str(CHECKOUT), *filter(None, [os.getenv("PYTHONPATH")])]),
    }
    with ExitStack() as ending:
        server = airflow.another_api_server(guarded_log, settings)
        ending.callback(server.kill)
        server.start()
        wait_for(lambda: _answers(server, url), "the second API server", _START, 0.5)
        yield url


def _answers(server: Component, url: str) -> bool:
    server.check_running()
    try:
        return httpx.get(f"{url}/api/v2/version", trust_env=False).is_success
    except httpx.HTTPError:
        return False


@pytest.fixture(scope="module")
def runs(airflow: AirflowInstance) -> dict[str, str]:
    """The runs of three DAGs that have ended, by DAG."""
    client = airflow.client
    dags = ("hello_flow", "results", "failures_of_the_page")
    started = {dag_id: client.trigger(dag_id) for dag_id in dags}
    for dag_id, run_id in started.items():
        client.wait_for_run(dag_id, run_id, timeout=240)
    return started


@pytest.fixture
def page(airflow: AirflowInstance) -> Iterator[Page]:
    with signed_in(airflow.url) as client:
        # Everybody is an admin there.
        token = client.get("/auth/token").raise_for_status().json()["access_token"]
        client.headers["Authorization"] = f"Bearer {token}"

        def ask(**wanted: Any) -> list[dict[str, Any]]:
            answer = client.get("/flowjob/flow-runs", params=wanted).raise_for_status()
            found: list[dict[str, Any]] = answer.json()["flow_runs"]
            return found

        yield ask


@pytest.fixture
def going(airflow: AirflowInstance, effects: Path) -> Iterator[tuple[str, str]]:
    """A deferred flow run that goes on until the test has ended: its DAG and its run."""
    dag_id = "exactly_one_deferrable"
    run_id = airflow.client.trigger(dag_id, conf={"connection": "kubernetes_default"})
    airflow.client.wait_for_task(dag_id, run_id, "flow", ["deferred"])
    yield dag_id, run_id
    (effects / f"{dag_id}.{run_id}.flow.end").touch()
    assert airflow.client.wait_for_run(dag_id, run_id) == "success"


def test_flow_runs_are_listed_newest_first_with_all_that_is_known_of_them(
    page: Page, runs: dict[str, str]
) -> None:
    (hello,) = page(dag_id="hello_flow", run_id=runs["hello_flow"])
    assert (hello["status"], hello["task_id"], hello["try_number"]) == ("succeeded", "hello", 1)
    assert hello["job_name"].startswith("hello-")
    assert hello["pod"].startswith(hello["job_name"])
    assert hello["node"]
    assert hello["started_at"] <= hello["finished_at"]
    assert set(hello["links"]) == {"Kubernetes", "Logs"}
    found = page(limit=100)
    assert len(found) >= 5
    both = page(limit=2), page(limit=2, offset=2)
    assert [*both[0], *both[1]] == found[:4]
    indexes = {run["map_index"] for run in page(dag_id="results", task_id="mapped")}
    assert indexes == {0, 1}


@pytest.mark.parametrize(
    ("wanted", "dags"),
    [
        ({"status": "failed"}, {"failures_of_the_page"}),
        ({"status": "failed", "dag": "hello"}, set()),
        ({"dag": "HELLO_F"}, {"hello_flow"}),
        ({"text": "the sales are <b>gone</b>"}, {"failures_of_the_page"}),
        ({"text": "hello-"}, {"hello_flow"}),
        ({"text": "%"}, {"failures_of_the_page"}),
        ({"text": "no such text"}, set()),
        ({"until": "2020-01-01T00:00:00Z"}, set()),
        ({"since": "2100-01-01T00:00:00+01:00"}, set()),
    ],
)
def test_flow_runs_are_found_by_status_dag_date_and_text(
    page: Page, runs: dict[str, str], wanted: dict[str, str], dags: set[str]
) -> None:
    ours = [run for run in page(limit=100, **wanted) if runs.get(run["dag_id"]) == run["run_id"]]
    assert {run["dag_id"] for run in ours} == dags


def test_a_failure_is_told_in_its_sentence_and_a_hostile_one_is_text(
    page: Page, runs: dict[str, str]
) -> None:
    (failed,) = page(dag_id="failures_of_the_page", run_id=runs["failures_of_the_page"])
    assert "the sales are <b>gone</b> by 100%" in failed["message"]
    assert failed["exit_code"] == 3


def test_a_page_costs_two_questions_however_many_flow_runs_there_are(
    airflow: AirflowInstance, runs: dict[str, str], page: Page
) -> None:
    began = time.monotonic()
    assert len(page(limit=100)) >= 5
    print(f"{time.monotonic() - began:.3f} s")
    for bad in ({"limit": 101}, {"status": "gone"}, {"offset": -1}, {"since": "yesterday"}):
        with pytest.raises(httpx.HTTPStatusError, match="422"):
            page(**bad)


def test_who_may_not_read_a_dag_sees_none_of_its_flow_runs(
    guarded: str, going: tuple[str, str], runs: dict[str, str]
) -> None:
    dag_id, run_id = going
    seen = {}
    for user in PASSWORDS:
        with signed_in(guarded, user) as client:
            answer = client.get("/flowjob/flow-runs", params={"limit": 100}).raise_for_status()
            seen[user] = {run["dag_id"] for run in answer.json()["flow_runs"]}
            asked = {"dag_id": dag_id, "run_id": run_id}
            one = client.get("/flowjob/flow-runs", params=asked)
            assert one.status_code == (200 if user == "reader" else 403)
    assert {dag_id, *runs} <= seen["reader"]
    assert set(runs) <= seen["guest"]
    assert not any(each.startswith("exactly_one") for each in seen["guest"])


def test_of_a_flow_run_that_goes_on_is_told_where_it_is_to_who_may_read_its_dag(
    guarded: str, going: tuple[str, str]
) -> None:
    dag_id, run_id = going
    with signed_in(guarded, "reader") as reader:
        asked = {"dag_id": dag_id, "run_id": run_id}
        (run,) = reader.get("/flowjob/flow-runs", params=asked).json()["flow_runs"]

        def seen() -> dict[str, Any] | None:
            answer = reader.get("/flowjob/flow-runs/now", params=asked).raise_for_status().json()
            assert answer["failures"] == []
            assert set(answer["now"]) == {run["flow_run_id"]}
            now: dict[str, Any] = answer["now"][run["flow_run_id"]]
            return now if now["node"] and now["told"] is None else None

        now = wait_for(seen, "the flow to be seen to run", 60, 0.5)
        assert now["pod"].startswith(run["job_name"])
        assert (run["pod"], run["node"]) == (None, None)
    with signed_in(guarded, "guest") as guest:
        assert guest.get("/flowjob/flow-runs/now", params=asked).status_code == 403
        answer = guest.get("/flowjob/flow-runs/now", params={"limit": 100}).json()
        assert run["flow_run_id"] not in answer["now"]


PATHS = [
    "",
    "page.js",
    "page.css",
    "flow-runs",
    "flow-runs/now",
    "dags/hello_flow/live-log?run_id=a&task_id=b",
]


@pytest.mark.parametrize("path", PATHS)
def test_who_is_not_signed_in_sees_nothing(guarded: str, path: str) -> None:
    with signed_in(guarded) as client:
        assert client.get(f"/flowjob/{path}").status_code == 401
        client.headers["Authorization"] = "Bearer nobody"
        assert client.get(f"/flowjob/{path}").status_code == 403


def live_lines(client: httpx.Client, dag_id: str, run_id: str) -> Iterator[tuple[str, Any]]:
    """Yield the events of a live log."""
    which = {"run_id": run_id, "task_id": "flow", "map_index": "-1"}
    path = f"/flowjob/dags/{dag_id}/live-log"
    with client.stream("GET", path, params=which) as response:
        assert response.status_code == 200
        assert response.headers["Content-Type"].startswith("text/event-stream")
        name = ""
        for line in response.iter_lines():
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                yield name, json.loads(line.removeprefix("data: "))


@pytest.fixture
def stored_secrets(airflow: AirflowInstance) -> Iterator[None]:
    """A connection and a variable in Airflow's database."""
    extra = json.dumps({"api": {"token": OF_EXTRA, "region": "line 2"}})
    connection = {"connection_id": "live", "conn_type": "generic", "password": OF_CONNECTION}
    client = airflow.client
    client.request("POST", "connections", json={**connection, "extra": extra})
    client.request("POST", "variables", json={"key": "live_password", "value": OF_VARIABLE})
    client.request("POST", "variables", json={"key": "live_region", "value": "line 3"})
    yield
    client.request("DELETE", "connections/live")
    for key in ("live_password", "live_region"):
        client.request("DELETE", f"variables/{key}")


@pytest.mark.usefixtures("stored_secrets")
def test_the_lines_of_a_deferred_flow_run_come_while_it_runs_and_its_secrets_do_not(
    guarded: str, airflow: AirflowInstance, effects: Path
) -> None:
    dag_id, client = "live_lines", airflow.client
    run_id = client.trigger(dag_id, conf={"secret": " ".join(SECRETS)})
    client.wait_for_task(dag_id, run_id, "flow", ["deferred"])
    lines: list[str] = []
    with signed_in(guarded, "reader") as reader:
        for name, data in live_lines(reader, dag_id, run_id):
            lines += data if name == "lines" else []
            if "line 3" in lines:
                # While it runs: it ends when it is told to.
                (effects / f"{dag_id}.{run_id}.end").touch()
            if name == "end":
                break
    assert data == "The flow run has succeeded."
    assert lines[:4] == ["line 1", "password *** *** *** ***", "line 2", "line 3"]
    assert lines[-1] == "the end"
    assert client.wait_for_run(dag_id, run_id) == "success"
    with signed_in(guarded, "reader") as reader:
        which = {"run_id": run_id, "task_id": "flow"}
        gone = reader.get(f"/flowjob/dags/{dag_id}/live-log", params=which)
        assert gone.status_code == 404


def test_a_live_log_ends_when_its_reader_goes_and_makes_room_for_the_next(
    guarded: str, guarded_log: Path, going: tuple[str, str]
) -> None:
    dag_id, run_id = going
    which = {"run_id": run_id, "task_id": "flow"}
    path = f"/flowjob/dags/{dag_id}/live-log"
    with signed_in(guarded, "reader") as reader, ExitStack() as readers:
        # An answer is closed with what reads it.
        lines = []
        for _ in range(MOST_STREAMS):
            stream = readers.enter_context(reader.stream("GET", path, params=which))
            lines.append(stream.iter_lines())
            assert next(lines[-1]) == "event: begin"
        refused = reader.get(path, params=which)
        assert refused.status_code == 503
        assert "20 live logs are shown already" in refused.json()["detail"]
        readers.close()

        def answer() -> int:
            with reader.stream("GET", path, params=which) as stream:
                return stream.status_code

        wait_for(lambda: answer() == 200, "room for another live log", 20, 0.5)
    log = guarded_log.read_text()
    assert "Unclosed client session" not in log
    assert "Task was destroyed" not in log


def test_who_may_not_read_a_tasks_log_reads_no_live_log(
    guarded: str, going: tuple[str, str]
) -> None:
    dag_id, run_id = going
    for which in (dag_id, "live_lines", "hello_flow", "~"):
        with signed_in(guarded, "guest") as guest:
            asked = {"run_id": run_id, "task_id": "flow", "dag_id": dag_id}
            answer = guest.get(f"/flowjob/dags/{which}/live-log", params=asked)
            assert answer.status_code == 403
