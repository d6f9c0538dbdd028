"""Each example DAG, run by a real scheduler on the real cluster."""

from __future__ import annotations

import re
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.airflow.instance import AirflowInstance
from tests.support.airflow.world import connection
from tests.support.cluster import Cluster
from tests.support.differences import to_dict, unexpected_differences, with_the_servers_defaults
from tests.support.node.node import Node
from tests.support.prefect import import_prefect_image
from tests.support.wait import wait_for

DAGS = Path(__file__).parents[2] / "dags"
EXAMPLES = {
    "hello_flow": ("hello", "hello_job_spec.yaml", "Hello world, line 1"),
    "kubernetes_job_environment": ("flow", "job_spec.yaml", "Example!"),
    "dummy_first_container": ("flow", "dummy_job_spec.yaml", "MY_ENV is foo"),
    "sidecar": ("report", "sidecar_job_spec.yaml", "The sidecar wrote "),
}
# They have several tasks.
COMPOSED = {"composed_flows", "mapped_flows", "python_functions", "sales_asset"}
# What Airflow 3.1 cannot import.
NEWER = {"flow_deadline"}
AIRFLOW_3_1 = metadata.version("apache-airflow-core").startswith("3.1.")


def run(airflow: AirflowInstance, dag_id: str, conf: dict[str, Any] | None = None) -> str:
    run_id = airflow.client.trigger(dag_id, conf=conf)
    assert airflow.client.wait_for_run(dag_id, run_id) == "success"
    return run_id


def test_all_examples_are_tested(airflow: AirflowInstance) -> None:
    # These have tests of their own, here, in test_composition.py and in test_exactly_one.py.
    tested = {*EXAMPLES, *COMPOSED, *NEWER, "nightly_sales", "prefect_flow", "flow_job_sweep"}
    tested |= {"several_clusters", "trigger_form"}
    importable = tested - NEWER if AIRFLOW_3_1 else tested
    for dag_id in importable:
        airflow.client.wait_for_dag(dag_id)
    examples = {file.stem for file in DAGS.glob("*.py")}
    assert examples == tested
    assert not importable & {Path(file).stem for file in airflow.client.import_errors()}


def test_no_dag_of_the_tests_has_the_name_of_an_example() -> None:
    # Airflow takes whichever it has read last.
    files = (Path(__file__).parent / "dags").glob("*.py")
    names = {name for file in files for name in re.findall(r'DAG\(\s*f?"(\w+)', file.read_text())}
    assert "exactly_one" in names
    assert not names & {file.stem for file in DAGS.glob("*.py")}


def test_airflow_lists_the_package_and_the_examples(airflow: AirflowInstance) -> None:
    assert "airflow-provider-flowjob" in airflow.cli("providers", "list")
    listed = airflow.cli("dags", "list", "--output", "plain")
    assert [dag_id for dag_id in EXAMPLES if dag_id not in listed] == []
    assert "prefect" in airflow.cli("providers", "hooks")


@pytest.mark.parametrize("dag_id", EXAMPLES)
def test_an_example_runs_and_its_job_is_the_users_own(
    airflow: AirflowInstance, batch_v1: Any, dag_id: str
) -> None:
    task_id, spec_file, line = EXAMPLES[dag_id]
    run_id = run(airflow, dag_id)
    xcoms = airflow.client.xcoms(dag_id, run_id, task_id)
    job = to_dict(batch_v1.read_namespaced_job(xcoms["job_name"], xcoms["namespace"]))

    assert line in airflow.client.log(dag_id, run_id, task_id)
    assert xcoms["status"] == "succeeded"
    assert xcoms["outcome"]["exit_code"] == 0
    assert job["metadata"]["labels"]["flow_run_id"] == xcoms["flow_run_id"]
    template = job["spec"]["template"]["metadata"]["labels"]
    assert template["identifier"] == job["metadata"]["labels"]["identifier"]

    image = job["spec"]["template"]["spec"]["containers"][0]["image"]
    asked = with_the_servers_defaults(batch_v1, DAGS / spec_file, xcoms["namespace"], image)
    assert unexpected_differences(asked, job) == set()
    base = yaml.safe_load((DAGS / spec_file).read_text())["metadata"]
    assert xcoms["job_name"].startswith((base.get("name") or base["generateName"]).rstrip("-"))


def test_the_references_flow_runs_as_it_was_with_the_prefect_it_was_written_for(
    airflow: AirflowInstance, own_node: Node
) -> None:
    import_prefect_image(own_node, "0.15")
    run_id = run(airflow, "prefect_flow")
    xcoms = airflow.client.xcoms("prefect_flow", run_id, "flow")
    assert xcoms["status"] == "succeeded"
    assert xcoms["return_value"] == {"output_value": None}
    log = airflow.client.log("prefect_flow", run_id, "flow")
    assert "Example!" in log
    assert "INFO - prefect.TaskRunner | Task 'get_value'" in log


def test_the_trigger_forms_conf_reaches_the_flow(airflow: AirflowInstance) -> None:
    run_id = run(airflow, "hello_flow", conf={"name": "Ada", "lines": 2})
    log = airflow.client.log("hello_flow", run_id, "hello")
    assert "Hello Ada, line 2" in log
    assert "Hello Ada, line 3" not in log
    xcoms = airflow.client.xcoms("hello_flow", run_id, "hello")
    assert xcoms["return_value"] == {"greeted": "Ada", "lines": 2}


def test_the_trigger_form_asks_for_image_and_memory(
    airflow: AirflowInstance, batch_v1: Any
) -> None:
    params = airflow.client.request("GET", "dags/trigger_form/details")["params"]
    assert {name: param["schema"]["type"] for name, param in params.items()} == {
        "region": "string",
        "day": "string",
        "image": "string",
        "memory": "integer",
    }
    image = params["image"]["value"]
    conf = {"region": "us", "day": "2026-02-01", "image": image, "memory": 64}
    run_id = run(airflow, "trigger_form", conf=conf)
    xcoms = airflow.client.xcoms("trigger_form", run_id, "sales")
    assert xcoms["return_value"] == {"region": "us", "day": "2026-02-01"}
    job = batch_v1.read_namespaced_job(xcoms["job_name"], xcoms["namespace"])
    (container,) = job.spec.template.spec.containers
    assert (container.image, container.resources.limits) == (image, {"memory": "64Mi"})


def test_a_flow_runs_on_each_of_several_clusters(
    airflow: AirflowInstance, cluster: Cluster, airflow_namespace: str, namespace: str
) -> None:
    # One node, under a second connection whose flows have another namespace.
    with connection(airflow, cluster.kubeconfig, namespace) as other:
        names = ["kubernetes_default", other]
        run_id = run(airflow, "several_clusters", conf={"clusters": names})
    client = airflow.client
    sales = [client.xcoms("several_clusters", run_id, "sales", index) for index in (0, 1)]
    assert [each["namespace"] for each in sales] == [airflow_namespace, namespace]
    assert [each["return_value"]["region"] for each in sales] == names
    task = client.task_instance("several_clusters", run_id, "sales", 1)
    assert task["rendered_map_index"] == other
    total = client.xcoms("several_clusters", run_id, "total")
    assert total["namespace"] == airflow_namespace
    assert total["return_value"] == {"regions": names, "rows": 52}


@pytest.mark.parametrize("dag_id", sorted(file.stem for file in DAGS.glob("*.py")))
def test_an_example_says_what_it_shows_and_whose_it_is(
    airflow: AirflowInstance, dag_id: str
) -> None:
    shown = airflow.client.request("GET", f"dags/{dag_id}/details")
    assert len(shown["doc_md"]) > 50
    assert {"flowjob"} < {tag["name"] for tag in shown["tags"]}
    (owner,) = shown["owners"]
    assert shown["owner_links"][owner].startswith("mailto:")


def test_a_backfill_runs_each_days_own_data_interval(airflow: AirflowInstance) -> None:
    days = ["2026-01-05", "2026-01-06", "2026-01-07"]
    airflow.client.wait_for_dag("nightly_sales")
    airflow.client.request("PATCH", "dags/nightly_sales", json={"is_paused": False})
    airflow.cli(
        *("backfill", "create", "--dag-id", "nightly_sales"),
        *("--from-date", days[0], "--to-date", days[-1]),
    )

    def backfilled() -> list[dict[str, Any]] | None:
        runs = [
            found
            for found in airflow.client.dag_runs("nightly_sales")
            if found["run_type"] == "backfill" and found["state"] in ("success", "failed")
        ]
        return runs if len(runs) == len(days) else None

    runs = wait_for(backfilled, "three backfilled runs", 120, 0.5)
    assert {found["state"] for found in runs} == {"success"}
    for found in runs:
        day = found["logical_date"][:10]
        log = airflow.client.log("nightly_sales", found["dag_run_id"], "sales")
        assert f"Sales of eu on {day}, from {day}T00:00:00+00:00 to " in log
        result = airflow.client.xcoms("nightly_sales", found["dag_run_id"], "sales")["return_value"]
        assert result["start"][:10] == day
    assert {found["logical_date"][:10] for found in runs} == set(days)
