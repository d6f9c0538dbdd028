"""The command `flowjob`: check job specs, and show the Job of a task."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from flowjob import get_provider_info
from flowjob.cli.commands import main
from flowjob.spec.yaml_file import YamlFile
from tests.unit.spec.test_job_spec import SPEC

DAG_FILE = """\
from airflow.sdk import DAG, BaseOperator
from flowjob.flows import CommandFlow, SpecFlow
from flowjob.operators.flow_job import FlowJobOperator

with DAG("report", schedule=None, params={"team": "data"}):
    FlowJobOperator(
        task_id="flow",
        job_spec_file="spec.yaml",
        image="flows:{{ params.team }}",
        flow=["run", "{{ ds }}"],
        parameters={"day": "{{ ds }}", "api_key": "k3y", "odd": "y"},
        env={"PASSWORD": "p4ss", "PLAIN": "pl41n {{ var.value.nowhere }}"},
        namespace="flows",
        container_overrides={"resources": {"limits": {"memory": "{{ 64 * ti.try_number }}Mi"}}},
    )
    FlowJobOperator(task_id="prefect", job_spec_file="spec.yaml", image="flows:1")
    FlowJobOperator(
        task_id="variable", job_spec_file="spec.yaml", image="{{ var.value.nowhere }}", flow=["x"]
    )
    FlowJobOperator(
        task_id="connection",
        job_spec_file="spec.yaml",
        image="flows:1",
        flow=["run", "{{ conn.database.password }}"],
    )
    FlowJobOperator.partial(task_id="mapped", job_spec_file="spec.yaml").expand(name=["a"])
    BaseOperator(task_id="other")
"""
SPEC_WITH_SECRETS = SPEC.replace(
    "value: foo",
    "value: foo\n            - name: DB_PASSWORD\n              value: f1le\n"
    "            - {name: SWITCH, value: 'on'}",
)


@pytest.fixture
def dag_file(tmp_path: Path) -> Path:
    (tmp_path / "spec.yaml").write_text(SPEC_WITH_SECRETS)
    file = tmp_path / "report.py"
    file.write_text(DAG_FILE)
    return file


def test_good_and_bad_specs_are_told_apart_a_line_each(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad, missing = (tmp_path / name for name in ("good.yaml", "bad.yaml", "missing.yaml"))
    good.write_text(SPEC)
    bad.write_text(SPEC.replace("team: data", "team: 7"))
    assert main(["check", str(good), str(bad), str(missing)]) == 1
    told = capsys.readouterr()
    assert told.out == f"{good}: ok\n"
    assert told.err.splitlines() == [
        f"{bad}:8: metadata.labels.team is no string: write it in quotes",
        f"cannot read the job spec {missing}: No such file or directory",
    ]
    assert main(["check", str(good)]) == 0


@pytest.mark.parametrize("arguments", [[], ["check"], ["other"], ["render", "dag"]])
def test_a_command_that_is_none_ends_with_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        main(arguments)
    assert raised.value.code == 2


def test_checking_a_spec_loads_neither_airflow_nor_a_kubernetes_client(tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text(SPEC)
    script = (
        "import sys; from flowjob.cli.commands import main; code = main(['check', 'spec.yaml'])\n"
        "heavy = {name.partition('.')[0] for name in sys.modules}\n"
        "print(heavy & {'airflow', 'kubernetes', 'kubernetes_asyncio', 'aiohttp', 'asyncio'})\n"
        "sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == "spec.yaml: ok\nset()\n"


def test_the_console_script_is_installed(tmp_path: Path) -> None:
    script = Path(sys.executable).with_name("flowjob")
    done = subprocess.run(
        [script, "check", "spec.yaml"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "cannot read the job spec spec.yaml: No such file or directory\n"


def render(capsys: pytest.CaptureFixture[str], task_id: str, dag_file: Path, *more: str) -> str:
    assert main(["render", "report", task_id, "--dag-file", str(dag_file), *more]) == 0
    return capsys.readouterr().out


def test_the_job_of_a_task_is_shown_without_a_secret(
    dag_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = render(capsys, "flow", dag_file, "--logical-date", "2026-01-02")
    job = YamlFile(text, "shown").content
    container = job["spec"]["template"]["spec"]["containers"][0]
    env = {variable["name"]: variable.get("value") for variable in container["env"]}

    assert "for a made-up flow run of logical date 2026-01-02T00:00:00+00:00" in text
    assert "are masked: ***" in text
    assert job["metadata"]["namespace"] == "flows"
    assert job["metadata"]["labels"]["flow_run_id"] == "00000000-0000-0000-0000-000000000000"
    assert (container["image"], container["command"]) == ("flows:data", ["run", "2026-01-02"])
    assert container["resources"]["limits"]["memory"] == "64Mi"
    assert (env["PASSWORD"], env["PLAIN"], env["DB_PASSWORD"]) == ("***", "***", "***")
    assert (env["MY_ENV"], env["SWITCH"]) == ("foo", "on")
    assert env["FLOW_PARAMETERS"] == '{"day": "2026-01-02", "api_key": "***", "odd": "y"}'
    assert env["AIRFLOW_CTX_DATA_INTERVAL_START"] == "2026-01-02T00:00:00+00:00"
    assert not [secret for secret in ("k3y", "p4ss", "pl41n", "f1le") if secret in text]


def test_a_prefect_flow_is_shown_without_its_connection(
    dag_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = render(capsys, "prefect", dag_file)
    container = YamlFile(text, "shown").content["spec"]["template"]["spec"]["containers"][0]
    env = {variable["name"]: variable.get("value") for variable in container["env"]}
    key = "PREFECT__CLOUD__API_KEY"
    (taken,) = (each["valueFrom"] for each in container["env"] if each["name"] == key)
    assert taken == {"secretKeyRef": {"name": "report-0000000000000000", "key": key}}
    assert env["PREFECT__CLOUD__GRAPHQL"] == "***/graphql"
    assert env["PREFECT__CONTEXT__IMAGE"] == "flows:1"


def test_a_connections_password_in_a_template_is_masked(
    dag_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_DATABASE", "postgres://user:conn3ction@host/db")
    text = render(capsys, "connection", dag_file)
    assert "conn3ction" not in text
    assert "- '***'\n" in text


@pytest.mark.parametrize(
    ("dag_id", "task_id", "message"),
    [
        ("nowhere", "flow", "there is no DAG 'nowhere' in "),
        ("report", "nowhere", "DAG 'report' has no task 'nowhere'"),
        ("report", "other", "task 'other' of DAG 'report' is no FlowJobOperator"),
        ("report", "mapped", "is mapped: its Jobs are known when it runs"),
        ("report", "variable", "the Job of task 'variable' depends on what only a run knows"),
    ],
)
def test_a_job_that_cannot_be_shown_is_told_in_one_sentence(
    dag_file: Path,
    capsys: pytest.CaptureFixture[str],
    dag_id: str,
    task_id: str,
    message: str,
) -> None:
    assert main(["render", dag_id, task_id, "--dag-file", str(dag_file)]) == 1
    told = capsys.readouterr()
    assert len(told.err.splitlines()) == 1
    assert message in told.err
    assert told.out == ""


def test_a_dag_is_found_in_the_bundles_and_a_broken_one_is_told(
    dag_file: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = {
        "name": "dags",
        "classpath": "airflow.dag_processing.bundles.local.LocalDagBundle",
        "kwargs": {"path": str(dag_file.parent)},
    }
    monkeypatch.setenv("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST", json.dumps([bundle]))
    monkeypatch.setenv("AIRFLOW__CORE__LOAD_EXAMPLES", "False")
    assert main(["render", "report", "flow"]) == 0
    (dag_file.parent / "spec.yaml").write_text(SPEC.replace("kind: Job", "kind: Pod"))
    assert main(["render", "report", "flow"]) == 1
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1
    assert "spec.yaml:2: the job spec is a batch/v1/Pod" in told[0]


def test_airflow_takes_the_commands(tmp_path: Path) -> None:
    from airflow.providers_manager import ProvidersManager

    assert get_provider_info()["cli"] == ["flowjob.cli.airflow_commands.get_commands"]
    if not hasattr(ProvidersManager, "cli_command_functions"):
        return  # Airflow 3.1 takes no commands from providers
    (tmp_path / "spec.yaml").write_text(SPEC)
    airflow = Path(sys.executable).with_name("airflow")
    done = subprocess.run(
        [airflow, "flow-job", "check", "spec.yaml", "missing.yaml"],
        cwd=tmp_path,
        env={**os.environ, "AIRFLOW_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "spec.yaml: ok\n" in done.stdout
    assert "cannot read the job spec missing.yaml: No such file or directory" in done.stderr
    assert done.returncode == 1
