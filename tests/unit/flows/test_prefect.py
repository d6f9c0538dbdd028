"""A Prefect flow, as far as it can be told without a Prefect; see tests/prefect for the rest."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from flowjob.exceptions import FlowError
from flowjob.flows import PrefectFlow, PythonFlow
from flowjob.flows.base import Flow, FlowRequest
from flowjob.flows.prefect_runner import airflow_times, check_parameters, prepare_environment
from flowjob.flows.runner import FlowFailed
from tests.unit.flows.test_flows import run_flow

REQUEST = FlowRequest("run-id", "flows:1", "default")
KNOWN = {"region": True, "day": False}


def text_of(flow: Flow) -> str:
    command = flow.command(REQUEST).command
    assert command is not None
    return command[-1].replace("$$", "$")


@pytest.mark.parametrize("name", ["flows.sales:flow", "/root/.prefect/sales.prefect"])
def test_a_prefect_flow_is_named_by_its_module_or_its_file(name: str) -> None:
    command = PrefectFlow(name, python="python3.7").command(REQUEST)
    assert command.args == [name]
    assert command.command is not None
    assert command.command[:3] == ["python3.7", "-u", "-c"]


def test_the_name_of_a_file_reaches_the_flow_as_it_was_written() -> None:
    assert PrefectFlow("/$(HOME).prefect").command(REQUEST).args == ["/$$(HOME).prefect"]


@pytest.mark.parametrize("name", ["flows.sales", "sales.prefect", "flows/sales.py:flow", ""])
def test_a_prefect_flow_that_names_neither_is_refused(name: str) -> None:
    with pytest.raises(FlowError, match=r"package\.module:flow.* absolute path"):
        PrefectFlow(name).command(REQUEST)


@pytest.mark.parametrize("flow", [PythonFlow("a:b"), PrefectFlow("a:b")])
def test_an_image_with_an_old_python_and_nothing_of_ours_runs_a_flow(flow: Flow) -> None:
    tree = ast.parse(text_of(flow), feature_version=(3, 7))
    imported = {
        name.partition(".")[0]
        for node in ast.walk(tree)
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported - sys.stdlib_module_names <= {"prefect", "pendulum"}


def test_a_python_flows_text_has_nothing_of_prefect() -> None:
    assert "prefect" not in text_of(PythonFlow("a:b")).lower()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "the flow 'sales' needs the parameters region"),
        ({"region": 1, "dya": 1}, "the flow 'sales' has no parameters dya: it has day, region"),
    ],
)
def test_parameters_that_do_not_fit_are_named(given: dict[str, int], told: str) -> None:
    with pytest.raises(FlowFailed, match=f"^{told}$"):
        check_parameters("sales", KNOWN, given)


def test_parameters_that_fit_are_taken() -> None:
    check_parameters("sales", KNOWN, {"region": 1})
    check_parameters("sales", {**KNOWN, "**": False}, {"region": 1, "other": 1})


@pytest.fixture
def no_environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr("os.environ", {})
    return monkeypatch


def test_the_containers_own_settings_of_prefect_stay(
    no_environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    own = {"PREFECT_HOME": str(tmp_path), "DO_NOT_TRACK": "0", "NO_PROXY": "10.0.0.0/8"}
    no_environment.setattr("os.environ", environment := dict(own))
    prepare_environment()
    assert environment.items() >= own.items()
    assert environment["no_proxy"] == "10.0.0.0/8,127.0.0.1"
    assert environment["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"


def test_a_run_without_a_slice_of_time_has_no_times(no_environment: pytest.MonkeyPatch) -> None:
    assert airflow_times() == {}


def test_an_image_without_prefect_is_told(tmp_path: Path) -> None:
    code, message, log = run_flow(tmp_path, PrefectFlow("my_flow:add", sys.executable), {}, 30)
    assert (code, message) == (1, "the image has no Prefect: ins")
    assert log == "the image has no Prefect: install the flow's version there\n"
