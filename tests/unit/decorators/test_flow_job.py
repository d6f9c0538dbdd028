"""``@task.flow_job`` when a DAG is parsed, and what the function is called with."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG, setup, task
from airflow.sdk.definitions.mappedoperator import MappedOperator
from airflow.serialization import serialized_objects

from flowjob.decorators.flow_job import FlowJobDecoratedOperator
from flowjob.exceptions import FlowError
from tests.unit.spec.test_job_spec import SPEC

ARGUMENTS: dict[str, Any] = {"job_spec_file": "spec.yaml", "image": "python:3.13"}


@pytest.fixture
def dag(tmp_path: Path) -> DAG:
    dag = DAG("dag", schedule=None)
    dag.fileloc = str(tmp_path / "dag.py")
    (tmp_path / "spec.yaml").write_text(SPEC)
    return dag


def flow_job(**more: Any) -> Callable[[Callable[..., Any]], Any]:
    """Decorate as DAG files do; Airflow types what it makes of a function for calls alone."""
    decorate: Any = task.flow_job(**ARGUMENTS, **more)
    return lambda function: decorate(function)


@flow_job(python="python{{ run_id }}")
def add(first: int, *more: int, ds: Any = None, scale: int = 1) -> dict[str, Any]:
    """Add numbers."""
    return {"sum": (first + sum(more)) * scale, "day": ds}


def rendered(operator: Any, context: Any) -> FlowJobDecoratedOperator:
    running: FlowJobDecoratedOperator = operator.prepare_for_execution()
    running.render_template_fields(context)
    return running


def test_a_decorated_function_is_a_task_with_its_name_and_its_docstring(dag: DAG) -> None:
    with dag:
        output = add(1)
        again = add(2)
    operator = output.operator
    assert (operator.task_id, again.operator.task_id) == ("add", "add__1")
    assert operator.doc_md == "Add numbers."
    # As its return type is a mapping.
    assert operator.multiple_outputs
    assert isinstance(operator, FlowJobDecoratedOperator)
    assert operator.image == "python:3.13"


def test_the_function_gets_its_arguments_rendered_and_what_it_asks_of_the_context(
    dag: DAG,
) -> None:
    with dag:
        operator = add("{{ run_id }}", 2, scale=3).operator
    running = rendered(operator, {"run_id": "3", "ds": "2026-01-05"})
    expected = {"first": "3", "more": (2,), "scale": 3, "ds": "2026-01-05"}
    assert running.flow_parameters({"ds": "2026-01-05"}) == expected
    # A run that was triggered by hand has none.
    assert running.flow_parameters({})["ds"] is None
    assert (running.flow.python, operator.flow.python) == ("python3", "python{{ run_id }}")


def test_times_of_the_context_are_text(dag: DAG) -> None:
    @flow_job()
    def flow(data_interval_start: Any = None) -> None: ...

    with dag:
        operator = flow().operator
    start = datetime(2026, 1, 5, tzinfo=UTC)
    parameters = operator.flow_parameters({"data_interval_start": start})
    assert parameters == {"data_interval_start": "2026-01-05T00:00:00+00:00"}


def test_a_function_waits_for_the_outputs_that_it_is_given(dag: DAG) -> None:
    with dag:
        first = add.override(task_id="first")(1)
        second = add(first["sum"], scale=first["sum"])
    assert second.operator.upstream_task_ids == {"first"}


def test_a_function_that_needs_its_module_is_an_import_error_also_where_it_is_mapped() -> None:
    with pytest.raises(FlowError, match="uses 'UTC' of its module"):

        @flow_job()
        def flow() -> Any:
            return datetime.now(UTC)


def test_a_function_that_asks_for_what_stays_in_the_worker_is_refused() -> None:
    with pytest.raises(FlowError, match="asks for 'ti' of Airflow's context"):

        @flow_job()
        def flow(ti: Any = None) -> None: ...


@pytest.mark.parametrize("name", ["flow", "parameters", "job_spec"])
def test_what_the_function_says_itself_is_refused(name: str) -> None:
    with pytest.raises(FlowError, match=f"@task.flow_job takes no {name}: "):
        flow_job(**{name: {}})


def test_a_bad_spec_is_an_import_error(dag: DAG, tmp_path: Path) -> None:
    (tmp_path / "spec.yaml").write_text("kind: Pod")
    with dag:
        add(1)
    with pytest.raises(Exception, match=r"spec\.yaml"):
        dag.resolve_template_files()  # type: ignore[no-untyped-call]


def test_a_decorated_function_may_set_up_what_others_need(dag: DAG) -> None:
    @setup
    @flow_job()
    def prepare() -> str:
        return "prepared"

    with dag:
        prepared = prepare()
    assert prepared.operator.is_setup
    assert "setup" not in prepared.operator.flow.function.text


def test_a_function_is_mapped_over_its_arguments(dag: DAG) -> None:
    with dag:
        mapped = add.partial(scale=2).expand(first=[1, 2]).operator
    assert isinstance(mapped, MappedOperator)
    # Airflow makes the operator of each map index so.
    operator = mapped.unmap({"op_kwargs": {"first": 2}})
    assert isinstance(operator, FlowJobDecoratedOperator)
    assert operator.flow_parameters({}) == {"first": 2, "scale": 2, "ds": None}


def test_neither_source_nor_env_is_stored_with_the_dag(dag: DAG) -> None:
    with dag:
        add.override(env={"TOKEN": "secret-marker"})(1)
    names = ("DagSerialization", "SerializedDAG")
    kind: Any = next(filter(None, (getattr(serialized_objects, name, None) for name in names)))
    stored = str(kind.to_dict(dag))
    assert "@task.flow_job" in stored
    assert "secret-marker" not in stored
    assert "def add" not in stored
