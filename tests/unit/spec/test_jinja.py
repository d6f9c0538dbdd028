"""Jinja in a job spec is no surprise at run time: it is warned of when the DAG is parsed."""

from __future__ import annotations

from pathlib import Path

import pytest
from airflow.sdk import DAG

from flowjob.cli.commands import main
from flowjob.exceptions import JobSpecWarning
from flowjob.operators.flow_job import FlowJobOperator
from flowjob.spec.job_spec import JobSpec

TEXT = """apiVersion: batch/v1
kind: Job
metadata: {name: daily}
spec:
  template:
    spec:
      containers:
      - name: flow
        image: flows:1
        args: ["{{ ds }}", "--all"]
        env:
        - {name: BUCKET, value: "s3://lake/{% raw %}x"}
"""
TOLD = (
    "Jinja in spec.template.spec.containers[0].args[0] (%s:10), "
    "spec.template.spec.containers[0].env[0].value (%s:12), "
    "which reaches the container as it stands"
)


def test_jinja_is_told_of_with_field_and_line(tmp_path: Path) -> None:
    file = tmp_path / "spec.yaml"
    file.write_text(TEXT)
    with DAG("daily") as dag:
        FlowJobOperator(task_id="flow", job_spec_file=str(file))
    with pytest.warns(JobSpecWarning) as warned:
        dag.resolve_template_files()  # type: ignore[no-untyped-call]
    assert TOLD % (file, file) in str(warned[0].message)


def test_jinja_in_a_dict_is_told_of(recwarn: pytest.WarningsRecorder) -> None:
    spec = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "spec": {"template": {"spec": {"containers": [{"name": "{{ ds }}", "image": "x"}]}}},
    }
    with DAG("daily"):
        FlowJobOperator(task_id="flow", job_spec=spec)
    assert "containers[0].name" in str(recwarn.pop(JobSpecWarning).message)


def test_the_check_of_a_spec_tells_of_jinja(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "spec.yaml"
    file.write_text(TEXT)
    assert main(["check", str(file)]) == 0
    assert f"{file}: ok, but the job spec has {TOLD % (file, file)}" in capsys.readouterr().out


def test_what_is_no_jinja_is_not_told_of() -> None:
    text = TEXT.replace("{{ ds }}", "${DAY} {a} $(b)").replace("{% raw %}", "")
    assert JobSpec.from_text(text, "spec.yaml").doubt is None
