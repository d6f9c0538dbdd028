"""What the operator does when a DAG is parsed: no scheduler, no cluster."""

from __future__ import annotations

import math
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk import DAG, BaseOperator, task
from airflow.serialization import serialized_objects

from flowjob.exceptions import FlowError, JobSpecError
from flowjob.flows import PrefectDeployment, PythonFlow
from flowjob.operators.flow_job import FlowJobOperator
from flowjob.worker.run_links import FLOW_RUNS_LINK, SETTINGS
from flowjob.worker.xcom import OWN_KEYS, REMOTE_LINK
from tests.unit.spec.test_job_spec import SPEC

SPEC_DICT = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "spec": {"template": {"spec": {"containers": [{"name": "flow"}]}}},
}


@pytest.fixture
def dag(tmp_path: Path) -> DAG:
    """A DAG whose file stands in a folder of its own."""
    (tmp_path / "dags").mkdir()
    dag = DAG("dag", schedule=None, template_searchpath=[str(tmp_path / "specs")])
    dag.fileloc = str(tmp_path / "dags" / "dag.py")
    return dag


def parse(dag: DAG, **arguments: Any) -> FlowJobOperator:
    operator = FlowJobOperator(task_id="flow", dag=dag, **{"flow": ["true"], **arguments})
    dag.resolve_template_files()  # type: ignore[no-untyped-call]
    return operator


@pytest.mark.parametrize("folder", ["dags", "specs", "absolute"])
def test_the_job_spec_is_found_and_checked_at_parse(dag: DAG, tmp_path: Path, folder: str) -> None:
    (tmp_path / folder).mkdir(exist_ok=True)
    (tmp_path / folder / "spec.yaml").write_text(SPEC.replace("kind: Job", "kind: Pod"))
    file = str(tmp_path / folder / "spec.yaml") if folder == "absolute" else "spec.yaml"
    with pytest.raises(JobSpecError, match=rf"{folder}/spec\.yaml:2: the job spec is a batch/v1/P"):
        parse(dag, job_spec_file=file)


def test_a_spec_beside_the_dag_file_comes_first(dag: DAG, tmp_path: Path) -> None:
    (tmp_path / "dags" / "spec.yaml").write_text(SPEC)
    (tmp_path / "specs").mkdir()
    (tmp_path / "specs" / "spec.yaml").write_text("no job")
    assert parse(dag, job_spec_file="spec.yaml")


def test_a_missing_spec_says_where_it_was_looked_for(dag: DAG, tmp_path: Path) -> None:
    with pytest.raises(JobSpecError) as raised:
        parse(dag, job_spec_file="spec.yaml")
    for folder in ("dags", "specs"):
        assert str(tmp_path / folder / "spec.yaml") in str(raised.value)


def test_a_path_with_jinja_is_loaded_when_the_task_runs(dag: DAG) -> None:
    assert parse(dag, job_spec_file="{{ params.team }}.yaml")


@pytest.mark.parametrize("arguments", [{}, {"job_spec": SPEC_DICT, "job_spec_file": "spec.yaml"}])
def test_a_spec_comes_from_a_file_or_from_a_dict(dag: DAG, arguments: dict[str, Any]) -> None:
    with pytest.raises(JobSpecError, match="give either job_spec_file or job_spec"):
        parse(dag, **arguments)


def test_a_flow_of_no_known_form_is_an_import_error(dag: DAG) -> None:
    with pytest.raises(FlowError, match="flow is a int"):
        parse(dag, job_spec=SPEC_DICT, flow=1)


@dataclass
class Storage:
    """The reference's Docker storage, as far as it names an image."""

    registry_url: str | None
    image_name: str | None
    image_tag: str | None


@pytest.mark.parametrize(
    ("storage", "image"),
    [
        (Storage("gcr.io/dev/", "sales", "0.1.0"), "gcr.io/dev/sales:0.1.0"),
        (Storage("gcr.io/dev", "sales", "0.1.0"), "gcr.io/dev/sales:0.1.0"),
        (Storage("localhost:5000", "sales", "{{ ds }}"), "localhost:5000/sales:{{ ds }}"),
        (Storage(None, "sales", "0.1.0"), "sales:0.1.0"),
        (Storage("", "sales", "0.1.0"), "sales:0.1.0"),
    ],
)
def test_an_image_is_named_as_the_references_docker_storage_names_it(
    dag: DAG, storage: Storage, image: str
) -> None:
    assert parse(dag, job_spec=SPEC_DICT, image=storage).image == image
    with dag:
        mapped = FlowJobOperator.partial(task_id="m", job_spec_file="spec.yaml", image=storage)
        # What Airflow stores of it.
        assert mapped.expand(name=["a"]).partial_kwargs["image"] == image


def test_a_storage_that_was_not_built_is_an_import_error(dag: DAG) -> None:
    storage = Storage("gcr.io/dev/", "sales", None)
    with pytest.raises(FlowError, match="has no image_name or no image_tag: give it both"):
        parse(dag, job_spec=SPEC_DICT, image=storage)


@pytest.mark.parametrize(
    "arguments",
    [
        {"image": 1},
        {"startup_timeout": "5"},
        {"startup_timeout": 0},
        {"logging_interval": -1},
        {"defer_after": "5"},
        {"defer_after": True},
        {"defer_after": math.nan},
        {"on_finish": "x"},
        {"wait_for": "pod"},
        {"log_containers": "proxy"},
        {"startup_timeout": True},
        {"skip_on_exit_code": "99"},
        {"skip_on_exit_code": ["99"]},
        {"skip_on_exit_code": True},
        {"skip_on_exit_code": 9.9},
        {"env": "LOG_LEVEL=INFO"},
        {"env": [{"name": "LOG_LEVEL"}]},
        {"env": [{"name": "A", "value": "1"}, {"name": "A", "value": "2"}]},
        {"parameters": ["region"]},
        {"parameters": "region"},
    ],
)
def test_an_argument_of_no_known_form_is_an_import_error(
    dag: DAG, arguments: dict[str, Any]
) -> None:
    (name,) = arguments
    with pytest.raises(FlowError, match=f"task 'flow': {name}"):
        parse(dag, job_spec=SPEC_DICT, **arguments)


def test_an_import_error_shows_the_line_of_the_dag_file_and_none_of_ours(dag: DAG) -> None:
    with pytest.raises(FlowError) as raised, dag:
        FlowJobOperator(task_id="flow", job_spec=SPEC_DICT, on_finish="x")  # type: ignore[arg-type]
    shown = traceback.extract_tb(raised.value.__traceback__)
    # Airflow shows the last two.
    assert [Path(frame.filename).name for frame in shown][-2:] == [
        Path(__file__).name,
        "operator.py",
    ]
    with pytest.raises(JobSpecError) as raised_of_mapped, dag:
        FlowJobOperator.partial(task_id="mapped", job_spec=SPEC_DICT)
    shown = traceback.extract_tb(raised_of_mapped.value.__traceback__)
    assert [Path(frame.filename).name for frame in shown] == [Path(__file__).name]


@pytest.mark.parametrize("overrides", [{"image": "flows:2"}, ["resources"], "resources"])
def test_overrides_of_what_a_flow_run_sets_are_an_import_error(dag: DAG, overrides: Any) -> None:
    with pytest.raises(JobSpecError, match="task 'flow': container_overrides "):
        parse(dag, job_spec=SPEC_DICT, container_overrides=overrides)


@pytest.mark.parametrize(
    "overrides", ["{{ params.overrides }}", {"resources": {"limits": {"memory": "{{ ds }}"}}}]
)
def test_overrides_may_be_known_when_the_task_runs(dag: DAG, overrides: Any) -> None:
    parsed = parse(dag, job_spec=SPEC_DICT, container_overrides=overrides)
    assert parsed.container_overrides == overrides
    assert "container_overrides" in parsed.template_fields


def test_a_mapped_tasks_spec_dict_would_be_stored_and_is_refused(dag: DAG) -> None:
    with dag, pytest.raises(JobSpecError, match="give a mapped task a job_spec_file"):
        FlowJobOperator.partial(task_id="mapped", job_spec=SPEC_DICT).expand(name=["a"])


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (
            {"job_spec": [SPEC_DICT]},
            "expand.. takes, and so the job_spec: give the task a job",
        ),
        ({"env": [{"PASSWORD": "s3cret"}]}, "expand.. takes, and so the env: give env to the task"),
    ],
)
def test_what_a_mapped_task_would_have_airflow_store_is_refused(
    dag: DAG, arguments: dict[str, Any], told: str
) -> None:
    with dag:
        with pytest.raises((JobSpecError, FlowError), match=told) as raised:
            FlowJobOperator.partial(task_id="one").expand(**arguments)
        assert "s3cret" not in str(raised.value)
        (name, (value,)) = next(iter(arguments.items()))
        with pytest.raises(
            (JobSpecError, FlowError), match=told.replace("expand", "expand_kwargs")
        ):
            FlowJobOperator.partial(task_id="two").expand_kwargs([{name: value}])


def test_a_task_is_mapped_over_parameters_and_over_what_another_task_returns(dag: DAG) -> None:
    @task
    def environments() -> list[dict[str, str]]:
        return [{"REGION": "eu"}]

    with dag:
        partial = FlowJobOperator.partial(task_id="one", job_spec_file="spec.yaml")
        partial.expand(parameters=[{"day": 1}, {"day": 2}])
        other = FlowJobOperator.partial(task_id="two", job_spec_file="spec.yaml")
        other.expand(env=environments())
    assert dag.task_dict["one"].is_mapped
    assert dag.task_dict["two"].upstream_task_ids == {"environments"}


@pytest.mark.parametrize("stored", [{"env": {"PASSWORD": "s3cret"}}, {"job_spec": SPEC_DICT}])
def test_default_args_that_airflow_would_store_are_refused(stored: dict[str, Any]) -> None:
    dag = DAG("dag", schedule=None, default_args=stored)
    spec = {} if "job_spec" in stored else {"job_spec": SPEC_DICT}
    with pytest.raises((JobSpecError, FlowError), match="Airflow stores what default_args hold"):
        parse(dag, **spec)


def test_an_env_of_its_own_goes_before_the_default_args_of_other_tasks() -> None:
    dag = DAG("dag", schedule=None, default_args={"env": {"LEVEL": "INFO"}})
    assert parse(dag, job_spec=SPEC_DICT, env={"LEVEL": "DEBUG"}).env == {"LEVEL": "DEBUG"}


def test_an_env_in_the_form_of_kubernetes_is_read(dag: DAG) -> None:
    env = [{"name": "LEVEL", "value": "INFO"}, {"name": "REGION", "value": "{{ ds }}"}]
    assert parse(dag, job_spec=SPEC_DICT, env=env).env == {"LEVEL": "INFO", "REGION": "{{ ds }}"}


def test_exit_codes_that_skip_are_one_or_several(dag: DAG) -> None:
    assert parse(dag, job_spec=SPEC_DICT, skip_on_exit_code=99).skip_on_exit_code == {99}
    dag = DAG("other", schedule=None)
    assert parse(dag, job_spec=SPEC_DICT, skip_on_exit_code=[3, 4]).skip_on_exit_code == {3, 4}


def test_env_makes_the_task_wait_for_what_it_uses(dag: DAG) -> None:
    @task
    def upstream() -> str:
        return "value"

    with dag:
        operator = parse(dag, job_spec=SPEC_DICT, env={"VALUE": upstream()})
    assert operator.upstream_task_ids == {"upstream"}


def test_rendering_one_try_leaves_the_flow_of_the_next_as_it_was_written(dag: DAG) -> None:
    flow = PythonFlow("flows.{{ run_id }}:run")
    operator = parse(dag, job_spec=SPEC_DICT, flow=flow)
    for run_id in ("a", "b"):
        running = operator.prepare_for_execution()
        running.render_template_fields({"run_id": run_id})
        assert running.flow == PythonFlow(f"flows.{run_id}:run")


def test_each_flow_of_a_mapped_task_is_rendered_by_itself(dag: DAG) -> None:
    flow = PythonFlow("flows.{{ run_id }}:run")
    with dag:
        partial = FlowJobOperator.partial(task_id="mapped", job_spec_file="x.yaml", flow=flow)
        mapped = partial.expand(image=["a", "b"])
    for image in ("a", "b"):
        # As Airflow renders it, which knows the operator's own way only where it is not mapped.
        operator = mapped.unmap({"image": image})
        BaseOperator.render_template_fields(operator, {"run_id": image})
        assert operator.flow == PythonFlow(f"flows.{image}:run")


def test_a_task_has_a_button_for_each_place_where_its_flow_run_is_seen(dag: DAG) -> None:
    plain = FlowJobOperator(task_id="plain", dag=dag, job_spec=SPEC_DICT, flow=["true"])
    flow = PrefectDeployment("sales/EU")
    deployment = FlowJobOperator(task_id="deployment", dag=dag, job_spec=SPEC_DICT, flow=flow)
    assert [link.name for link in plain.operator_extra_links] == ["Flow runs"]
    assert [link.name for link in deployment.operator_extra_links] == ["Flow runs", "Prefect"]
    with dag:
        mapped = FlowJobOperator.partial(task_id="mapped", job_spec_file="x.yaml", flow=flow)
        mapped.expand(image=["a", "b"])
    # Airflow 3.1 has it by the other name.
    names = ("DagSerialization", "SerializedDAG")
    kind: Any = next(filter(None, (getattr(serialized_objects, name, None) for name in names)))
    stored = kind.to_dict(dag)["dag"]["tasks"]
    links = {
        each["__var"]["task_id"]: each["__var"].get("_operator_extra_links") for each in stored
    }
    both = {"Flow runs": FLOW_RUNS_LINK, "Prefect": REMOTE_LINK}
    assert links == {"plain": {"Flow runs": FLOW_RUNS_LINK}, "deployment": both, "mapped": both}


def test_a_console_has_its_button_where_airflows_settings_name_it(
    dag: DAG, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__FLOWJOB__JOB_URL", "https://console/{namespace}/{job_name}")
    monkeypatch.setenv("AIRFLOW__FLOWJOB__LOG_URL", " ")
    task = FlowJobOperator(task_id="task", dag=dag, job_spec=SPEC_DICT, flow=["true"])
    links = {link.name: link.xcom_key for link in task.operator_extra_links}
    assert links == {"Flow runs": FLOW_RUNS_LINK, "Kubernetes": "_link_KubernetesLink"}
    monkeypatch.setenv("AIRFLOW__FLOWJOB__LOG_URL", "https://logs/{pod}")
    links = {link.name: link.xcom_key for link in task.operator_extra_links}
    assert list(links) == ["Flow runs", "Kubernetes", "Logs"]
    assert set(links.values()) == {FLOW_RUNS_LINK, *SETTINGS}
    assert set(links.values()) <= OWN_KEYS
