"""The reference's command, run by a real Prefect 0.15, against a GraphQL API of the test's own."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from flowjob.flows import PrefectCloudFlow
from flowjob.flows.base import FlowConnection, FlowRequest
from flowjob.prefect.runs import remote_runs
from flowjob.remote_run import GRAPHQL
from tests.support.fake_prefect import KEY, FakePrefect
from tests.support.prefect import prefect_packages
from tests.support.registered_flows import register_flows


@pytest.fixture(scope="module")
def prefect() -> Iterator[FakePrefect]:
    with FakePrefect() as running:
        yield running


@pytest.fixture(scope="module")
def flow_ids(prefect: FakePrefect, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return register_flows(prefect, tmp_path_factory.mktemp("flows"))


def run(
    prefect: FakePrefect, folder: Path, flow: PrefectCloudFlow, key: str = KEY, **parameters: Any
) -> tuple[str, subprocess.CompletedProcess[str]]:
    """Begin a flow run and do what its container does; return its id and what came of it."""
    flow_run_id, connection = str(uuid4()), FlowConnection(prefect.url, KEY)
    wanted, begun = flow.remote_run(flow_run_id, parameters), None
    if wanted is not None:
        begun = asyncio.run(remote_runs(GRAPHQL, flow.conn_id, connection).begin(wanted, 30))
    told = FlowConnection(prefect.url, key)
    command = flow.command(FlowRequest(flow_run_id, "image", "default", told, begun))
    assert command.command is not None
    assert command.args is not None
    (folder / "python").symlink_to("/usr/bin/python3")
    done = subprocess.run(
        [word.replace("$$", "$") for word in command.command + command.args],
        env={
            **command.env,
            # The Secret's part.
            **command.secrets,
            "PATH": f"{folder}:/usr/bin:/bin",
            "HOME": str(folder),
            "PYTHONPATH": str(prefect_packages("0.15")),
        },
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return command.env["PREFECT__CONTEXT__FLOW_RUN_ID"], done


def test_the_references_flow_runs_as_the_flow_run_that_prefect_knows(
    prefect: FakePrefect, flow_ids: dict[str, str], tmp_path: Path
) -> None:
    flow = PrefectCloudFlow(project_name="nightly", flow_name="example")
    run_id, done = run(prefect, tmp_path, flow)
    assert done.returncode == 0, done.stderr
    assert "Example!" in done.stdout
    states = [state["type"] for state in prefect.flow_runs[run_id].states]
    assert states == ["Scheduled", "Submitted", "Running", "Success"]


@pytest.mark.parametrize(("region", "state"), [("eu", "Success"), ("us", "Failed")])
def test_a_registered_flow_gets_our_parameters_and_reports_its_own_end(
    prefect: FakePrefect, flow_ids: dict[str, str], tmp_path: Path, region: str, state: str
) -> None:
    flow = PrefectCloudFlow(flow_id=flow_ids["sales"])
    run_id, done = run(prefect, tmp_path, flow, region=region)
    # Prefect's exit code says nothing: its state does.
    assert done.returncode == 0, done.stderr
    assert prefect.flow_runs[run_id].state == state


@pytest.mark.parametrize("how", ["wrong key", "no flow run"])
def test_what_prefect_refuses_fails_the_flow_container(
    prefect: FakePrefect, flow_ids: dict[str, str], tmp_path: Path, how: str
) -> None:
    if how == "wrong key":
        run_id, done = run(prefect, tmp_path, PrefectCloudFlow(flow_id=flow_ids["sales"]), "wrong")
        assert prefect.flow_runs[run_id].state == "Submitted"
    else:
        _, done = run(prefect, tmp_path, PrefectCloudFlow())
    assert done.returncode == 1
