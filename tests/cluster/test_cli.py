"""`flowjob check --server`: the API server checks a spec, and creates nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from flowjob.cli import main
from tests.cluster.fixtures import Cluster
from tests.cluster.flow_runs import SPEC, connect


@pytest.fixture
def connection(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> str:
    return connect(cluster.kubeconfig, monkeypatch)


def test_the_server_tells_what_only_it_knows_and_creates_nothing(
    connection: str,
    namespace: str,
    batch_v1: Any,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    good, misspelt, invalid, no_job = (
        tmp_path / f"{name}.yaml" for name in ("good", "misspelt", "invalid", "no_job")
    )
    spec = SPEC.replace("name: test", f"name: test, namespace: {namespace}")
    good.write_text(spec)
    misspelt.write_text(spec.replace("backoffLimit", "backofLimit"))
    secret = "flow-container, env: [{name: 'not a name=', value: s3cret}]"
    invalid.write_text(spec.replace("flow-container", secret))
    no_job.write_text("kind: Pod")

    files = [str(file) for file in (good, misspelt, invalid, no_job)]
    assert main(["check", "--server", "--conn-id", connection, *files]) == 1
    told = capsys.readouterr()
    errors = told.err.splitlines()
    assert told.out == f"{good}: ok\n"
    assert len(errors) == 3
    assert errors[0].startswith(f"{misspelt}: the API server refused the Job ")
    assert 'unknown field "spec.backofLimit"' in errors[0]
    assert "spec.template.spec.containers[0].env[0].name: value invalid" in errors[1]
    assert errors[2].startswith(f"{no_job}:1: the job spec is a None/Pod")
    assert "s3cret" not in told.err
    assert batch_v1.list_namespaced_job(namespace).items == []


def test_a_namespace_that_is_not_there_is_told(
    connection: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "spec.yaml"
    file.write_text(SPEC.replace("name: test", "name: test, namespace: nowhere"))
    assert main(["check", "--server", "--conn-id", connection, str(file)]) == 1
    assert 'namespaces "nowhere" not found' in capsys.readouterr().err


def test_a_connection_that_is_not_there_is_told_for_each_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "spec.yaml"
    file.write_text(SPEC)
    assert main(["check", "--server", "--conn-id", "nowhere", str(file), "missing.yaml"]) == 1
    told = capsys.readouterr().err.splitlines()
    assert told[-2].startswith(f"{file}: cannot use the Airflow connection 'nowhere': ")
    assert told[-1].startswith("cannot read the job spec missing.yaml: ")
