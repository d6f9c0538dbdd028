"""What stands in `deploy/` agrees with the docs, with the package, and with itself."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.matrix.cells import airflow_version

CHECKOUT = Path(__file__).parents[2]
DEPLOY = CHECKOUT / "deploy"
ROLES = sorted(DEPLOY.glob("rbac/**/*.yaml"))


def rules(file: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = next(
        each["rules"] for each in objects(DEPLOY / "rbac" / file) if "rules" in each
    )
    return found


def objects(file: Path) -> list[dict[str, Any]]:
    return list(yaml.safe_load_all(file.read_text()))


@pytest.fixture(scope="module")
def values() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((DEPLOY / "helm" / "values.yaml").read_text())
    return found


def test_a_triggerer_has_the_rights_of_a_worker_but_that_to_create() -> None:
    jobs, *others = rules("worker.yaml")
    jobs["verbs"].remove("create")
    assert rules("triggerer.yaml") == [jobs, *others]


def test_an_api_server_may_read_jobs_pods_and_logs_as_a_triggerer_and_change_nothing() -> None:
    jobs, pods, log, *_ = rules("triggerer.yaml")
    jobs["verbs"].remove("delete")
    assert rules("api-server.yaml") == [jobs, pods, log]


@pytest.mark.parametrize("file", ROLES, ids=lambda file: str(file.relative_to(DEPLOY)))
def test_no_role_grants_more_than_it_names(file: Path) -> None:
    granted = [rule for each in objects(file) for rule in each.get("rules", [])]
    for rule in granted:
        assert set(rule) == {"apiGroups", "resources", "verbs"}
        assert "*" not in str(rule)


def test_the_table_of_rights_has_each_file() -> None:
    told = set(re.findall(r"^\| `(rbac/[\w.-]+)` \|", (DEPLOY / "README.md").read_text(), re.M))
    assert told == {f"rbac/{file.relative_to(DEPLOY / 'rbac').parts[0]}" for file in ROLES}


def test_the_chart_gets_settings_and_a_connection_that_the_package_reads(
    values: dict[str, Any],
) -> None:
    source = "\n".join(
        path.read_text() for path in (CHECKOUT / "provider" / "flowjob").rglob("*.py")
    )
    for name in values["config"]["flowjob"]:
        assert f'"flowjob", "{name}"' in source
    (variable,) = values["env"]
    connection = json.loads(variable["value"])
    assert variable["name"] == "AIRFLOW_CONN_KUBERNETES_DEFAULT"
    kustomization = yaml.safe_load((DEPLOY / "kustomization.yaml").read_text())
    assert connection["extra"] == {"in_cluster": True, "namespace": kustomization["namespace"]}


def test_image_and_chart_have_the_airflow_that_is_tested(values: dict[str, Any]) -> None:
    newest = airflow_version(CHECKOUT / "constraints.txt")
    assert values["airflowVersion"] == newest
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    assert f"ARG AIRFLOW_IMAGE=apache/airflow:{newest}\n" in dockerfile
    shown = (DEPLOY / "README.md").read_text()
    image = values["images"]["airflow"]
    assert f"{image['repository']}:{image['tag']}" in shown


def test_the_table_of_what_is_said_has_each_verb_that_may_be_missing() -> None:
    shown = (DEPLOY / "README.md").read_text()
    rows = re.findall(r"^\| ((?:`\w+`(?: or )?)+) of `([\w/]+)` \|", shown, re.MULTILINE)
    told = {(resource, verb) for verbs, resource in rows for verb in re.findall(r"\w+", verbs)}
    granted = {
        (resource, verb)
        for file in ROLES
        for each in objects(file)
        for rule in each.get("rules", [])
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }
    assert told - {(resource, "or") for resource, _ in told} == granted
