"""The Airflow that the tests stand on does what they need of it."""

import os
from pathlib import Path

import pytest

from tests.support.airflow import sessions
from tests.support.airflow.client import AirflowClientError
from tests.support.airflow.component import ComponentError
from tests.support.airflow.instance import running_airflow

DAG = """
from airflow.sdk import dag, task

@dag(schedule=None, params={"name": "nobody"})
def probe():
    @task
    def hello(**context):
        print("hello", context["params"]["name"])
        context["ti"].xcom_push(key="status", value="succeeded")
        return {"name": context["params"]["name"]}

    hello()

probe()
"""


@pytest.fixture
def dags_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "dags"
    folder.mkdir()
    (folder / "probe.py").write_text(DAG)
    return folder


def test_an_airflow_runs_dags_and_is_gone_without_a_trace(
    dags_folder: Path, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    with running_airflow(
        home, {"probes": dags_folder}, on_postgres=False, environment={"MARK": str(home)}
    ) as airflow:
        leaders = [component.process_id for component in airflow.components]
        run_id = airflow.client.trigger("probe", {"name": "you"})
        assert airflow.client.wait_for_run("probe", run_id) == "success"
        assert airflow.client.xcoms("probe", run_id, "hello") == {
            "return_value": {"name": "you"},
            "status": "succeeded",
        }
        assert "hello you" in airflow.client.log("probe", run_id, "hello")
        assert b"probe" in airflow.database_dump()
        assert any(b"hello you" in content for _, content in airflow.all_logs())
        assert "probe" in airflow.cli("dags", "list")

        airflow.scheduler.kill()
        airflow.scheduler.start()
        airflow.wait_until_healthy()
        run_id = airflow.client.trigger("probe")
        assert airflow.client.wait_for_run("probe", run_id) == "success"

        with pytest.raises(AirflowClientError, match="404"):
            airflow.client.dag_run("probe", "no such run")
        with pytest.raises(
            AirflowClientError, match=r"Waited 0 s in vain(?s:.*)task hello, .*: success"
        ):
            airflow.client.wait_for_run("probe", run_id, timeout=0, states=["failed"])
    assert not [leader for leader in leaders if sessions.members(leader)]
    assert not processes_that_mention(home)


def test_an_airflow_that_cannot_start_says_why(dags_folder: Path, tmp_path: Path) -> None:
    wrong = {"AIRFLOW__CORE__EXECUTOR": "NoSuchExecutor"}
    with (
        pytest.raises(ComponentError, match=r"scheduler ended with exit code(?s:.*)NoSuchExecutor"),
        running_airflow(
            tmp_path / "home", {"probes": dags_folder}, on_postgres=False, environment=wrong
        ),
    ):
        pytest.fail("It started.")
    assert not processes_that_mention(tmp_path)


def processes_that_mention(text: object) -> list[str]:
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            environment = (folder / "environ").read_bytes()
            working_folder = os.readlink(folder / "cwd")
            command = (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if str(text).encode() in environment + working_folder.encode() + command:
            found.append(command.decode(errors="replace"))
    return found
