"""What the flow container runs."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from flowjob.exceptions import FlowError
from flowjob.flows import (
    CommandFlow,
    Flow,
    PrefectCloudFlow,
    PrefectDeployment,
    PythonFlow,
    SpecFlow,
    as_flow,
)
from flowjob.flows.base import FlowConnection, FlowRequest
from flowjob.flows.runner import RESULT_ERROR
from flowjob.flows.runner_text import program
from flowjob.remote_run import REST, CloudRunRequest, DeploymentRunRequest, RemoteRun

REQUEST = FlowRequest("run-id", "flows:1", "default", FlowConnection("https://prefect/", "key"))

KEY_VARIABLES = ("PREFECT__CLOUD__API_KEY", "PREFECT__CLOUD__AUTH_TOKEN")


def test_short_forms_name_a_flow() -> None:
    assert as_flow("a.b:c") == PythonFlow("a.b:c")
    assert as_flow(["sh", "-c", "true"]) == CommandFlow(["sh", "-c", "true"])
    assert as_flow(None) == PrefectCloudFlow()
    assert as_flow(SpecFlow()) == SpecFlow()
    with pytest.raises(FlowError, match="flow is a int"):
        as_flow(1)


@pytest.mark.parametrize("name", ["a.b", "a:b:c", "a b:c", "", "a.:b", ":b", "a:", "1a:b"])
def test_a_python_flow_that_names_no_callable_is_refused(name: str) -> None:
    with pytest.raises(FlowError, match=r"package\.module:callable"):
        PythonFlow(name).command(REQUEST)


@pytest.mark.parametrize("words", [[], ["sleep", 1], [None]])
def test_a_command_that_is_no_list_of_strings_is_refused(words: list[Any]) -> None:
    with pytest.raises(FlowError, match="list of at least one string"):
        CommandFlow(words).command(REQUEST)


def test_a_command_reaches_the_container_as_it_was_written() -> None:
    command = CommandFlow(["echo", "$(HOME)", "$$"]).command(REQUEST)
    assert command.command == ["echo", "$$(HOME)", "$$$$"]
    assert command.args == []


def test_a_spec_flow_leaves_the_container_as_it_is() -> None:
    command = SpecFlow().command(REQUEST)
    assert (command.command, command.args, dict(command.env)) == (None, None, {})


def test_the_default_flow_is_the_references_contract() -> None:
    command = PrefectCloudFlow(flow_file_path="/flow.prefect").command(REQUEST)
    assert command.command == ["/bin/sh", "-c"]
    assert command.args == [
        "python -c 'import prefect; prefect.environments.execution.load_and_run_flow()'"
    ]
    # The key's second variable is what Prefect read before it knew the page's, and with that it
    # reads the second address.
    assert command.secrets == dict.fromkeys(KEY_VARIABLES, "key")
    assert command.env == {
        "PREFECT__CLOUD__GRAPHQL": "https://prefect/graphql",
        "PREFECT__CLOUD__API": "https://prefect",
        "PREFECT__CONTEXT__FLOW_RUN_ID": "run-id",
        "PREFECT__CONTEXT__NAMESPACE": "default",
        "PREFECT__CONTEXT__IMAGE": "flows:1",
        "PREFECT__CONTEXT__FLOW_FILE_PATH": "/flow.prefect",
        "PREFECT__CLOUD__USE_LOCAL_SECRETS": "false",
        "PREFECT__ENGINE__FLOW_RUNNER__DEFAULT_CLASS": "prefect.engine.cloud.CloudFlowRunner",
        "PREFECT__CLOUD__SEND_FLOW_RUN_LOGS": "true",
        "PREFECT__LOGGING__EXTRA_LOGGERS": "[]",
    }
    assert "key" not in repr(command)
    assert "key" not in repr(REQUEST)


def test_a_prefect_flow_takes_its_key_from_a_secret_that_the_user_names() -> None:
    command = PrefectCloudFlow(api_key_secret="prefect.team/api-key").command(REQUEST)
    reference = {"secretKeyRef": {"name": "prefect.team", "key": "api-key"}}
    assert {name: command.env[name] for name in KEY_VARIABLES} == dict.fromkeys(
        KEY_VARIABLES, reference
    )
    assert command.secrets == {}


@pytest.mark.parametrize("wrong", ["pnu_0123456789", "prefect/", "/key", "a/b/c", "Prefect/key", 1])
def test_a_key_in_place_of_its_secrets_name_is_refused_and_not_repeated(wrong: Any) -> None:
    with pytest.raises(FlowError, match='write it as "name/key"') as raised:
        PrefectCloudFlow(api_key_secret=wrong).command(REQUEST)
    assert "pnu_0123456789" not in str(raised.value)


def test_a_prefect_server_that_asks_for_no_key_gets_none() -> None:
    connection = FlowConnection("http://prefect:4200")
    command = PrefectCloudFlow().command(FlowRequest("run-id", "flows:1", "default", connection))
    assert {name: command.env[name] for name in KEY_VARIABLES} == dict.fromkeys(KEY_VARIABLES, "")
    assert command.secrets == {}


@pytest.mark.parametrize(
    ("version", "names"),
    [
        (None, KEY_VARIABLES),
        ("0.10.7", ("PREFECT__CLOUD__AUTH_TOKEN",)),
        ("0.14", ("PREFECT__CLOUD__AUTH_TOKEN",)),
        ("0.15.0", ("PREFECT__CLOUD__API_KEY",)),
        ("0.15.13", ("PREFECT__CLOUD__API_KEY",)),
        ("1.4.1", ("PREFECT__CLOUD__API_KEY",)),
    ],
)
def test_the_key_comes_by_the_variable_that_the_images_prefect_reads(
    version: str | None, names: tuple[str, ...]
) -> None:
    command = PrefectCloudFlow(prefect_version=version).command(REQUEST)
    assert tuple(command.secrets) == names
    assert ("PREFECT__CLOUD__API" in command.env) == ("PREFECT__CLOUD__API_KEY" in names)
    assert not set(KEY_VARIABLES) & command.env.keys()


def test_a_prefect_flow_knows_its_tenant_where_the_connection_names_one() -> None:
    connection = FlowConnection("https://prefect/", "key", "tenant-id")
    command = PrefectCloudFlow().command(FlowRequest("run-id", "flows:1", "default", connection))
    assert command.env["PREFECT__CLOUD__TENANT_ID"] == "tenant-id"


@pytest.mark.parametrize("version", ["latest", "0", "0.x"])
def test_a_prefect_version_that_is_none_is_refused(version: str) -> None:
    with pytest.raises(FlowError, match=f"prefect_version is '{version}'"):
        PrefectCloudFlow(prefect_version=version).command(REQUEST)


FLOW = """
import sys, asyncio

def add(a, b=1):
    print("adding")
    return {"sum": a + b}

async def later():
    await asyncio.sleep(0)
    return "later"

class Steps:
    @staticmethod
    def one(): return 1

def nothing(): pass
def broken(region): raise ValueError("no region " + region)
def not_json(): return {1, 2}
def not_a_number(): return float("nan")
def large(): return "x" * 200
def fits(): return "x" * 97
def leave(): sys.exit(3)
"""


def run_flow(
    tmp_path: Path, flow: str | Flow, parameters: dict[str, Any], limit: int = 100
) -> tuple[int, str, str]:
    """Run a flow as its container does, and return exit code, message and standard error."""
    (tmp_path / "my_flow.py").write_text(FLOW)
    message = tmp_path / "message"
    message.write_text("")
    kind = flow if isinstance(flow, Flow) else PythonFlow(flow, python=sys.executable)
    command = kind.command(REQUEST)
    assert command.command is not None
    assert command.args is not None
    done = subprocess.run(
        [word.replace("$$", "$") for word in command.command + command.args],
        cwd=tmp_path,
        env={
            "PATH": os.environ["PATH"],
            "FLOW_PARAMETERS": json.dumps(parameters),
            "FLOW_RESULT_PATH": str(message),
            "FLOW_RESULT_LIMIT": str(limit),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, message.read_text(), done.stderr


@pytest.mark.parametrize(
    ("flow", "parameters", "result"),
    [
        ("my_flow:add", {"a": 2}, {"sum": 3}),
        ("my_flow:add", {"a": "$(HOME) ", "b": "é"}, {"sum": "$(HOME) é"}),
        ("my_flow:later", {}, "later"),
        ("my_flow:Steps.one", {}, 1),
        ("my_flow:fits", {}, "x" * 97),
    ],
)
def test_a_python_flows_return_value_is_its_result(
    tmp_path: Path, flow: str, parameters: dict[str, Any], result: Any
) -> None:
    code, message, _ = run_flow(tmp_path, flow, parameters)
    assert (code, json.loads(message)) == (0, result)


def test_a_python_flow_without_a_return_value_has_no_result(tmp_path: Path) -> None:
    assert run_flow(tmp_path, "my_flow:nothing", {})[:2] == (0, "")


def test_a_python_flow_that_raises_tells_type_and_message(tmp_path: Path) -> None:
    code, message, error = run_flow(tmp_path, "my_flow:broken", {"region": "eu"})
    assert (code, message) == (1, "ValueError: no region eu")
    assert "Traceback" in error
    code, message, _ = run_flow(tmp_path, "my_flow:broken", {"region": "x" * 500})
    assert (code, len(message)) == (1, 99)


def test_a_python_flow_chooses_its_exit_code(tmp_path: Path) -> None:
    assert run_flow(tmp_path, "my_flow:leave", {})[0] == 3


def test_a_missing_callable_fails_the_flow(tmp_path: Path) -> None:
    code, message, _ = run_flow(tmp_path, "my_flow:absent", {})
    assert code == 1
    assert "absent" in message


@pytest.mark.parametrize("flow", ["my_flow:not_json", "my_flow:not_a_number", "my_flow:large"])
def test_a_bad_result_is_told_without_running_the_flow_again(tmp_path: Path, flow: str) -> None:
    code, message, _ = run_flow(tmp_path, flow, {})
    # Exit code 0: the flow did its work, and Kubernetes must not repeat it.
    assert code == 0
    assert message.startswith(RESULT_ERROR)
    assert len(message) < 100


def test_an_images_own_entrypoint_can_get_other_arguments() -> None:
    command = CommandFlow(args=["--day", "$(DAY)"]).command(REQUEST)
    assert (command.command, command.args) == (None, ["--day", "$$(DAY)"])


@pytest.mark.parametrize("wrong", [{}, {"args": []}, {"args": "a b"}, {"args": [1]}])
def test_a_command_flow_without_words_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(FlowError, match="a list of at least one string"):
        CommandFlow(**wrong).command(REQUEST)


def test_a_command_and_arguments_for_another_are_refused() -> None:
    with pytest.raises(FlowError, match="give one"):
        CommandFlow(["true"], args=["a"]).command(REQUEST)


RUN = RemoteRun(
    REST,
    "prefect_default",
    "prefects-id",
    facts={
        "flow_run_name": "blue-cow",
        "flow_id": "flow-id",
        "flow_name": "sales",
        "deployment_id": "deployment-id",
        "deployment_name": "EU, nightly!" + 60 * "x",
    },
)


def test_a_registered_flow_runs_as_the_flow_run_that_prefect_knows() -> None:
    command = PrefectCloudFlow(flow_id="flow").command(replace(REQUEST, remote_run=RUN))
    assert command.env["PREFECT__CONTEXT__FLOW_RUN_ID"] == "prefects-id"


def test_a_registered_flow_asks_for_a_flow_run_with_our_id_and_parameters() -> None:
    assert PrefectCloudFlow().remote_run("run-id", {}) is None
    for how in (
        {"flow_id": "flow"},
        {"flow_run_id": "run"},
        {"project_name": "sales", "flow_name": "nightly"},
    ):
        request = PrefectCloudFlow(**how).remote_run("run-id", {"region": "eu"})
        assert request == CloudRunRequest("prefect_default", "run-id", {"region": "eu"}, **how)


@pytest.mark.parametrize(
    "how",
    [
        {"flow_id": "flow", "flow_run_id": "run"},
        {"flow_name": "nightly"},
        {"project_name": "sales", "flow_id": "flow"},
    ],
)
def test_a_registered_flow_that_is_named_twice_or_by_half_is_refused(how: dict[str, str]) -> None:
    with pytest.raises(FlowError, match="give one of these"):
        PrefectCloudFlow(**how).remote_run("run-id", {})


def test_a_deployments_flow_run_gets_the_variables_and_labels_of_prefects_own_worker() -> None:
    command = PrefectDeployment("sales/EU").command(replace(REQUEST, remote_run=RUN))
    assert command.env == {
        "PREFECT_API_URL": "https://prefect/api",
        "PREFECT__FLOW_RUN_ID": "prefects-id",
        "PREFECT__FLOW_ID": "flow-id",
        "PREFECT__FLOW_NAME": "sales",
        "PREFECT__DEPLOYMENT_ID": "deployment-id",
        "PREFECT__DEPLOYMENT_NAME": RUN.facts["deployment_name"],
    }
    assert command.secrets == {"PREFECT_API_KEY": "key"}
    assert command.labels == {
        "prefect.io/flow-run-id": "prefects-id",
        "prefect.io/flow-run-name": "blue-cow",
        "prefect.io/flow-id": "flow-id",
        "prefect.io/flow-name": "sales",
        "prefect.io/deployment-id": "deployment-id",
        # A label takes no comma, and 63 characters.
        "prefect.io/deployment-name": "EU-nightly-" + 52 * "x",
    }


def test_a_deployments_key_may_come_from_a_secret_that_is_there() -> None:
    command = PrefectDeployment("sales/EU", api_key_secret="prefect/api-key").command(REQUEST)
    source = {"secretKeyRef": {"name": "prefect", "key": "api-key"}}
    assert (command.env["PREFECT_API_KEY"], command.secrets) == (source, {})


def test_a_deployment_asks_for_a_flow_run_with_our_id_parameters_and_tags() -> None:
    request = PrefectDeployment("sales/EU", tags=["nightly"]).remote_run("run-id", {"day": 1})
    assert request == DeploymentRunRequest(
        "prefect_default",
        "run-id",
        {"day": 1},
        flow_name="sales",
        deployment_name="EU",
        tags=["nightly"],
    )


@pytest.mark.parametrize("name", ["sales", "sales/", "/EU", ""])
def test_a_deployment_that_is_named_by_half_is_refused(name: str) -> None:
    with pytest.raises(FlowError, match="flow name/deployment name"):
        PrefectDeployment(name).remote_run("run-id", {})


def test_what_a_flow_container_is_sent_is_python_that_needs_nothing_of_ours() -> None:
    text = program("deployment_runner")
    compile(text, "runner", "exec")
    assert "flowjob." not in re.sub(r"``.*?``", "", text)
    assert text.count('__name__ == "__main__"') == 1
