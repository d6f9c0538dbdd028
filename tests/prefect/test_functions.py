"""Flows of Prefect 2 and 3, which are functions, without a Prefect server."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.prefect.run import AIRFLOW, FLOWS, Container

# Notes where the process and its children would reach over the network.
AUDIT = """
import sys

def note(event, arguments):
    if event in ("socket.connect", "socket.getaddrinfo"):
        host = arguments[1][0] if event == "socket.connect" else arguments[0]
        with open("/proc/self/cwd/hosts", "a") as file:
            file.write(f"{host.decode() if isinstance(host, bytes) else host}\\n")

sys.addaudithook(note)
"""


@pytest.fixture(params=["2", "3"])
def container(request: pytest.FixtureRequest, tmp_path: Path) -> Container:
    return Container(request.param, tmp_path)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home of Prefect 3 that has a database, which takes it long to make."""
    folder = tmp_path_factory.mktemp("made")
    run = Container("3", folder).run("functions:generated", PREFECT_HOME=str(folder / "home"))
    assert run.code == 0, run.log
    return folder / "home"


@pytest.fixture
def newest(home: Path, tmp_path: Path) -> Container:
    container = Container("3", tmp_path)
    container.settings["PREFECT_HOME"] = str(shutil.copytree(home, tmp_path / "home"))
    return container


def test_a_flow_runs_without_a_server_a_home_or_a_way_out_and_leaves_nothing(
    container: Container,
) -> None:
    audit = container.folder.parent / "audit"
    audit.mkdir()
    (audit / "sitecustomize.py").write_text(AUDIT)
    dead = "http://127.0.0.1:9"
    container.path.append(audit)
    run = container.run("functions:example", HTTP_PROXY=dead, HTTPS_PROXY=dead)
    assert run.code == 0, run.log
    result = run.result
    home = result.pop("home")
    assert result == {
        "scheduled_start_time": AIRFLOW["AIRFLOW_CTX_DATA_INTERVAL_END"],
        "data_interval_start": AIRFLOW["AIRFLOW_CTX_DATA_INTERVAL_START"],
        "data_interval_end": AIRFLOW["AIRFLOW_CTX_DATA_INTERVAL_END"],
        "tells": False,
    }
    assert "\nExample!\n" in run.log
    assert "| WARNING | Task run 'output_value" in run.log
    hosts = container.folder / "hosts"
    assert not hosts.exists() or set(hosts.read_text().split()) <= {"127.0.0.1"}
    assert Path(home).parent == container.folder
    assert not Path(home).exists()


def test_a_task_that_failed_is_named_with_its_own_exception(container: Container) -> None:
    told = "task 'divide' failed: ZeroDivisionError: division by zero"
    run = container.run("functions:failing")
    assert (run.code, run.message) == (1, told)
    assert f"\n{told}\n" in run.log
    assert "| ERROR   | Task run 'divide" in run.log


def test_an_asynchronous_flow_with_parameters_and_mapped_tasks_returns_its_result(
    newest: Container,
) -> None:
    run = newest.run("functions:sales", {"region": "$(HOME) é", "days": [1, 2]})
    assert (run.code, run.result) == (0, {"region": "$(HOME) é", "shares": [0.5, 1.0]})


@pytest.mark.parametrize(
    ("flow", "told"),
    [
        ("states_of_tasks", "task 'divide' failed: ZeroDivisionError: division by zero"),
        ("cancelled", "the flow ended as Cancelled: nobody wants it"),
        ("crashed", "the flow ended as Crashed: no memory"),
    ],
)
def test_a_flow_that_raised_nothing_has_failed_where_its_state_says_so(
    newest: Container, flow: str, told: str
) -> None:
    run = newest.run(f"functions:{flow}")
    assert (run.code, run.message) == (1, told)


def test_a_generators_values_are_its_result(newest: Container) -> None:
    run = newest.run("functions:generated")
    assert (run.code, run.result) == (0, [1, 2])


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ({"region": "eu"}, "the flow 'sales' needs the parameters days"),
        (
            {"region": "eu", "days": [], "divosor": 1},
            "the flow 'sales' has no parameters divosor: it has days, divisor, region",
        ),
    ],
)
def test_parameters_that_the_flow_does_not_take_are_told_before_it_runs(
    container: Container, parameters: dict[str, object], told: str
) -> None:
    run = container.run("functions:sales", parameters)
    assert (run.code, run.message) == (1, told)
    assert "Starting temporary server" not in run.log


def test_a_pickled_flow_runs_whose_own_code_fails_for_a_reason_of_its_own(
    newest: Container,
) -> None:
    code = f"""
import cloudpickle, pathlib, runpy
flow = runpy.run_path({str(FLOWS / "functions.py")!r}, run_name="__main__")["broken"]
pathlib.Path("sales.prefect").write_bytes(cloudpickle.dumps(flow))
"""
    newest.python(code)
    newest.path.remove(FLOWS)
    run = newest.run(str(newest.folder / "sales.prefect"), {"region": "eu"})
    assert (run.code, run.message) == (1, "ValueError: no region eu")


def test_a_kill_lets_a_flow_clean_up(newest: Container) -> None:
    run, took = newest.kill("functions:sleeps")
    assert run.code == 143, run.log
    assert "the lock is given back" in run.log
    assert took < 30
