"""`flowjob check --server`: the API server checks a spec, and creates nothing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.cluster import Cluster
from tests.support.flow_runs import SPEC, connect


@pytest.fixture
def connection(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> str:
    return connect(cluster.kubeconfig, monkeypatch)


def check(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command as its users do; each of these checks finds something wrong."""
    script = Path(sys.executable).with_name("flowjob")
    done = subprocess.run(
        [script, "check", "--server", *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    return done


def test_the_server_tells_what_only_it_knows_and_creates_nothing(
    connection: str,
    namespace: str,
    batch_v1: Any,
    tmp_path: Path,
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

    told = check("--conn-id", connection, good, misspelt, invalid, no_job)
    errors = told.stderr.splitlines()
    assert told.stdout == f"{good}: ok\n"
    assert len(errors) == 3
    assert errors[0].startswith("the API server refused the Job ")
    assert errors[0].endswith(f"({misspelt}:6)")
    assert 'unknown field "spec.backofLimit"' in errors[0]
    assert "spec.template.spec.containers[0].env[0].name: value invalid" in errors[1]
    assert errors[2].startswith(f"{no_job}:1: the job spec is a None/Pod")
    assert "s3cret" not in told.stderr
    assert batch_v1.list_namespaced_job(namespace).items == []


def test_a_namespace_that_is_not_there_is_told(connection: str, tmp_path: Path) -> None:
    file = tmp_path / "spec.yaml"
    file.write_text(SPEC.replace("name: test", "name: test, namespace: nowhere"))
    assert 'namespaces "nowhere" not found' in check("--conn-id", connection, file).stderr


def test_a_connection_that_is_not_there_is_told_for_each_file(tmp_path: Path) -> None:
    file = tmp_path / "spec.yaml"
    file.write_text(SPEC)
    told = check("--conn-id", "nowhere", file, "missing.yaml").stderr.splitlines()
    assert len(told) == 2
    assert told[0].startswith(f"{file}: the Airflow connection 'nowhere' cannot be used: ")
    assert told[1].startswith("cannot read the job spec missing.yaml: ")
