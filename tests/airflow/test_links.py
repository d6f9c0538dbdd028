"""The buttons of a task: where its flow run is seen, from its first moment on."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest

from tests.support.airflow.instance import AirflowInstance


def query(link: str) -> dict[str, list[str]]:
    return parse_qs(urlsplit(link).query, keep_blank_values=True)


@pytest.mark.parametrize(
    ("dag_id", "waits"), [("exactly_one", "running"), ("exactly_one_deferrable", "deferred")]
)
def test_a_task_links_to_its_job_and_its_log_while_its_flow_runs_and_afterwards(
    airflow: AirflowInstance, effects: Path, core_v1: Any, dag_id: str, waits: str
) -> None:
    client = airflow.client
    run_id = client.trigger(dag_id, conf={"connection": "kubernetes_default"})

    def links_at_work() -> dict[str, str] | None:
        links: dict[str, str] = client.extra_links(dag_id, run_id, "flow")
        return links if all(links.values()) else None

    links = client.wait_for(links_at_work, "the links of a task at work", 60)
    client.wait_for_task(dag_id, run_id, "flow", [waits])
    xcoms = client.xcoms(dag_id, run_id, "flow")
    assert set(links) == {"Flow runs", "Kubernetes", "Logs"}
    page = f"dags/{dag_id}/runs/{quote(run_id, safe='')}/tasks/flow/plugin/flow_run"
    assert links["Flow runs"] == page
    job = {"namespace": [xcoms["namespace"]], "name": [xcoms["job_name"]]}
    assert query(links["Kubernetes"]) == {"of": ["job"], **job}
    log = query(links["Logs"])
    assert log["id"] == [xcoms["flow_run_id"]]
    assert log["to"] == [""]
    if waits == "running":
        # A trigger cannot say where its flow runs.
        client.wait_for(
            lambda: query(client.extra_links(dag_id, run_id, "flow")["Logs"])["pod"] != [""],
            "the link to say which pod it is",
            60,
        )
        log = query(client.extra_links(dag_id, run_id, "flow")["Logs"])
        assert log["pod"][0].startswith(xcoms["job_name"])
        assert log["node"] != [""]

    (effects / f"{dag_id}.{run_id}.flow.end").touch()
    assert client.wait_for_run(dag_id, run_id) == "success"
    outcome = client.xcoms(dag_id, run_id, "flow")["outcome"]
    links = client.extra_links(dag_id, run_id, "flow")
    assert links["Flow runs"] == page
    assert query(links["Kubernetes"]) == {"of": ["job"], **job}
    log = query(links["Logs"])
    pod = core_v1.read_namespaced_pod(outcome["pod"], xcoms["namespace"])
    assert log["node"] == [pod.spec.node_name] == [outcome["node"]]
    assert (log["pod"], log["from"], log["to"]) == (
        [outcome["pod"]],
        [outcome["started_at"]],
        [outcome["finished_at"]],
    )


def test_a_bad_template_of_a_link_is_told_once_and_costs_no_task(airflow: AirflowInstance) -> None:
    settings = {
        "AIRFLOW__FLOWJOB__JOB_URL": "https://console/{cluster}/{job_name}",
        "AIRFLOW__FLOWJOB__LOG_URL": "https://logs/%2F{pod",
    }
    done = subprocess.run(
        [sys.executable, "-m", "airflow", "dags", "test", "hello_flow"],
        env={**airflow.environment, **settings},
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    told = done.stdout + done.stderr
    assert told.count("[flowjob] job_url names {cluster}, which is none of namespace, ") == 1
    assert told.count("[flowjob] log_url expected '}' before end of string: double a brace") == 1
    assert "state=success" in told


def test_each_flow_run_of_a_mapped_task_has_a_page_of_its_own(
    airflow: AirflowInstance,
) -> None:
    run_id = airflow.client.trigger("results")
    assert airflow.client.wait_for_run("results", run_id, timeout=180) == "success"
    links = airflow.client.extra_links("results", run_id, "mapped", map_index=1)
    assert links["Flow runs"].endswith("/tasks/mapped/mapped/1/plugin/flow_run")
