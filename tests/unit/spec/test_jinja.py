"""Jinja in a job spec is no surprise at run time: it is warned of when the DAG is parsed."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest
from airflow.sdk import DAG

from flowjob.cli.commands import main
from flowjob.exceptions import JobSpecError, JobSpecWarning
from flowjob.operators.flow_job import FlowJobOperator
from flowjob.spec.job_spec import JobSpec
from flowjob.worker.context import rendered_job_spec

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
JOB: dict[str, Any] = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "spec": {"template": {"spec": {"containers": [{"name": "flow", "image": "x"}]}}},
}
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


def test_jinja_that_is_rendered_is_not_told_of(
    tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    file = tmp_path / "spec.yaml"
    file.write_text(
        TEXT.replace("spec:\n  template", 'spec:\n  completions: "{{ 2 }}"\n  template')
    )
    with DAG("daily") as dag:
        FlowJobOperator(task_id="flow", job_spec_file=str(file), template_job_spec=True)
    dag.resolve_template_files()  # type: ignore[no-untyped-call]
    assert not [each for each in recwarn if each.category is JobSpecWarning]
    # One that is not rendered is told as before.
    with pytest.raises(JobSpecError, match=r"spec\.completions is no whole number"):
        JobSpec.from_file(file)


@pytest.mark.parametrize("is_native", [False, True])
def test_the_values_of_a_spec_are_rendered_as_the_templates_of_its_dag(is_native: bool) -> None:
    text = TEXT.replace(
        "metadata: {name: daily}", 'metadata: {name: "{{ 1 }}", labels: {script: a.sh}}'
    )
    spec = JobSpec.from_text(text.replace("{% raw %}x", "{{ ds }}"), "spec.yaml")
    with DAG("daily", render_template_as_native_obj=is_native) as dag:
        task = FlowJobOperator(task_id="flow", job_spec={**JOB})
    context = cast(Any, {"dag": dag, "task": task, "ti": None, "ds": "2026-01-31"})
    if is_native:
        with pytest.raises(JobSpecError, match=r"spec\.yaml:3: metadata\.name is no string"):
            rendered_job_spec(spec, context)
        return
    rendered = rendered_job_spec(spec, context)
    assert rendered.base_name == "1"
    manifest = rendered._manifest
    container = manifest["spec"]["template"]["spec"]["containers"][0]
    assert container["args"] == ["2026-01-31", "--all"]
    assert container["env"] == [{"name": "BUCKET", "value": "s3://lake/2026-01-31"}]
    assert spec._manifest["metadata"]["name"] == "{{ 1 }}"


def test_jinja_that_cannot_be_rendered_is_told_without_the_spec() -> None:
    spec = JobSpec.from_text(TEXT.replace("{{ ds }}", "s3cret {{ nothing.of.that }}"), "spec.yaml")
    with DAG("daily") as dag:
        task = FlowJobOperator(task_id="flow", job_spec={**JOB})
    context = cast(Any, {"dag": dag, "task": task, "ti": task})
    with pytest.raises(
        JobSpecError, match="the job spec of task 'flow' cannot be rendered: "
    ) as told:
        rendered_job_spec(spec, context)
    assert "s3cret" not in str(told.value)


def test_what_is_no_jinja_is_not_told_of() -> None:
    text = TEXT.replace("{{ ds }}", "${DAY} {a} $(b)").replace("{% raw %}", "")
    assert JobSpec.from_text(text, "spec.yaml").doubt is None
