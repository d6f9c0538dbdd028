"""What a deployment's flow container runs, with a real Prefect 3 and its server."""

from __future__ import annotations

import asyncio
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from flowjob.flows import PrefectDeployment
from flowjob.flows.base import FlowConnection, FlowRequest
from flowjob.prefect.runs import remote_runs
from flowjob.remote_run import REST
from tests.support.flow_container import end_flow_container
from tests.support.prefect_server import PrefectServer

FLOWS = str(Path(__file__).parent / "flows")


@dataclass
class Execution:
    """A flow run in the process that its container would have."""

    run_id: str
    message: Path
    command: list[str]
    environment: dict[str, str]

    def __post_init__(self) -> None:
        self.run_again()

    def run_again(self) -> None:
        """Do what the next pod of its Job does."""
        self.process = subprocess.Popen(
            self.command,
            env=self.environment,
            cwd=self.message.parent,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def end(self) -> tuple[int, str, str]:
        """Return exit code, termination message and output."""
        try:
            output, _ = self.process.communicate(timeout=120)
        finally:
            end_flow_container(self.message)
        return self.process.returncode, self.message.read_text(), output


def start(
    prefect: PrefectServer, folder: Path, entrypoint: str = "sales.py:sales", **parameters: Any
) -> Execution:
    flow = PrefectDeployment(prefect.deploy(entrypoint, FLOWS), python="/usr/bin/python3")
    connection = FlowConnection(prefect.api_url)
    runs = remote_runs(REST, flow.conn_id, connection)
    flow_run_id = str(uuid4())
    begun = asyncio.run(runs.begin(flow.remote_run(flow_run_id, parameters), 30))
    command = flow.command(FlowRequest(flow_run_id, "image", "default", connection, begun))
    assert command.command is not None
    message = folder / "message"
    message.touch()
    environment = {
        **prefect.environment,
        **command.env,
        "HOME": str(folder),
        "FLOW_RESULT_PATH": str(message),
        "FLOW_RESULT_LIMIT": "4096",
    }
    words = [word.replace("$$", "$") for word in command.command]
    return Execution(begun.run_id, message, words, environment)


def test_a_flow_runs_with_our_parameters_and_its_persisted_result_is_handed_on(
    prefect: PrefectServer, tmp_path: Path
) -> None:
    execution = start(prefect, tmp_path, region="us")
    code, message, output = execution.end()
    assert code == 0
    assert json.loads(message) == {"region": "us", "rows": 3}
    assert "selling in us" in output
    assert prefect.flow_run(execution.run_id)["state_type"] == "COMPLETED"


@pytest.mark.parametrize(
    ("flow", "told"),
    [("forgetful", "Completed"), ("odd", "result is not handed on: it is not JSON")],
)
def test_a_result_that_is_not_persisted_or_no_json_is_no_error(
    prefect: PrefectServer, tmp_path: Path, flow: str, told: str
) -> None:
    execution = start(prefect, tmp_path, f"sales.py:{flow}")
    code, message, output = execution.end()
    assert (code, message) == (0, "")
    assert told in output
    assert prefect.flow_run(execution.run_id)["state_type"] == "COMPLETED"


@pytest.mark.parametrize(
    ("how", "state", "told"),
    [("fails", "FAILED", "ValueError: no region eu"), ("is_killed", "CRASHED", "-9")],
)
def test_a_flow_that_fails_reports_it_to_prefect_and_ends_well(
    prefect: PrefectServer, tmp_path: Path, how: str, state: str, told: str
) -> None:
    execution = start(prefect, tmp_path, how=how)
    assert execution.end()[:2] == (0, "")
    flow_run = prefect.flow_run(execution.run_id)
    assert flow_run["state_type"] == state
    assert told in flow_run["state"]["message"]


def test_the_next_pod_of_a_job_runs_the_same_flow_run_again_where_one_has_died(
    prefect: PrefectServer, tmp_path: Path
) -> None:
    execution = start(prefect, tmp_path, how="kills_all_once")
    assert execution.end()[0] == 137
    assert prefect.flow_run(execution.run_id)["state_type"] == "RUNNING"
    execution.run_again()
    assert execution.end()[0] == 0
    assert prefect.flow_run(execution.run_id)["state_type"] == "COMPLETED"


def test_a_flow_run_that_is_cancelled_in_prefect_ends_by_itself(
    prefect: PrefectServer, tmp_path: Path
) -> None:
    execution = start(prefect, tmp_path, how="sleeps")
    prefect.wait_for_state(execution.run_id, ["RUNNING"])
    prefect.set_state(execution.run_id, "CANCELLING")
    assert execution.end()[0] == 0
    assert prefect.flow_run(execution.run_id)["state_type"] == "CANCELLED"


def test_a_kill_ends_the_container_at_once(prefect: PrefectServer, tmp_path: Path) -> None:
    execution = start(prefect, tmp_path, how="sleeps")
    prefect.wait_for_state(execution.run_id, ["RUNNING"])
    execution.process.terminate()
    assert execution.end()[0] == 143
