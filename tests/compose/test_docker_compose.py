"""The file is read by Docker Compose itself; a Docker engine is needed only to run it."""

import json
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.compose.program import compose_command

CHECKOUT = Path(__file__).parents[2]
AIRFLOW = {"api-server", "scheduler", "dag-processor", "triggerer"}


def read(compose: Sequence[str], **variables: str) -> dict[str, Any]:
    command = [*compose, "--project-directory", str(CHECKOUT), "config"]
    names = ("HOME", "PATH", "DOCKER_HOST")
    environment = {name: os.environ[name] for name in names if name in os.environ} | variables
    done = subprocess.run(
        [*command, "--format=json"],
        capture_output=True,
        env=environment,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr, "Compose warns of something"
    configuration: dict[str, Any] = json.loads(done.stdout)
    return configuration


@pytest.fixture(scope="module")
def compose(request: pytest.FixtureRequest) -> Sequence[str]:
    # Building takes minutes the first time: its progress must be seen, not captured.
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        return compose_command()


@pytest.fixture(scope="module")
def services(compose: Sequence[str]) -> dict[str, Any]:
    found: dict[str, Any] = read(compose)["services"]
    return found


def test_a_laptop_gets_airflow_with_postgres_and_a_cluster(services: dict[str, Any]) -> None:
    assert set(services) == AIRFLOW | {"postgres", "init", "k3s", "kubeconfig"}
    assert services["k3s"]["privileged"]
    assert services["k3s"]["image"].startswith("rancher/k3s:v")
    assert services["postgres"]["image"].startswith("postgres:")


def test_whatever_goes_on_running_is_health_checked(services: dict[str, Any]) -> None:
    for name in AIRFLOW | {"postgres", "k3s"}:
        check = services[name]["healthcheck"]
        assert check["test"][0] == "CMD", name
        assert check["retries"] > 1, name


def test_nothing_is_published_beyond_this_machine(services: dict[str, Any]) -> None:
    published = [port for service in services.values() for port in service.get("ports", [])]
    assert [port["host_ip"] for port in published] == ["127.0.0.1"]
    assert published[0]["target"] == 8080


@pytest.mark.parametrize("name", sorted(AIRFLOW | {"init"}))
def test_airflow_runs_from_an_image_with_this_package(services: dict[str, Any], name: str) -> None:
    build = services[name]["build"]
    assert build["context"] == str(CHECKOUT)
    dockerfile = (CHECKOUT / build["dockerfile"]).read_text()
    assert "FROM ${AIRFLOW_IMAGE}" in dockerfile
    assert "/opt/flowjob" in dockerfile
    assert build["args"]["AIRFLOW_IMAGE"].startswith("apache/airflow:3.")


@pytest.mark.parametrize("name", sorted(AIRFLOW))
def test_airflow_sees_the_examples_and_the_cluster(services: dict[str, Any], name: str) -> None:
    service = services[name]
    volumes = {volume["target"]: volume for volume in service["volumes"]}
    assert volumes["/opt/airflow/dags"]["source"] == str(CHECKOUT / "dags")
    connection = json.loads(service["environment"]["AIRFLOW_CONN_KUBERNETES_DEFAULT"])
    folder = str(Path(connection["extra"]["kube_config_path"]).parent)
    assert volumes[folder]["source"] == "kubeconfig"
    assert service["environment"]["FLOW_IMAGE"] == "python:3.13-slim"


def test_airflow_starts_when_its_database_and_the_cluster_are_ready(
    services: dict[str, Any],
) -> None:
    completed = "service_completed_successfully"
    for name in AIRFLOW:
        conditions = {
            other: need["condition"] for other, need in services[name]["depends_on"].items()
        }
        assert conditions["init"] == conditions["kubeconfig"] == completed
    assert services["init"]["depends_on"]["postgres"]["condition"] == "service_healthy"
    assert services["kubeconfig"]["depends_on"]["k3s"]["condition"] == "service_healthy"


def test_the_cluster_is_reached_by_the_name_that_its_certificate_has(
    services: dict[str, Any],
) -> None:
    assert "--tls-san=k3s" in services["k3s"]["command"]
    assert "sed s/127.0.0.1/k3s/" in services["kubeconfig"]["command"][0]


def test_images_and_the_port_can_be_chosen(compose: Sequence[str]) -> None:
    chosen = read(
        compose,
        AIRFLOW_IMAGE="apache/airflow:3.1.0",
        AIRFLOW_PORT="9090",
        FLOW_IMAGE="flows:2",
        K3S_IMAGE="k3s:x",
        POSTGRES_IMAGE="postgres:16",
    )["services"]
    assert chosen["scheduler"]["build"]["args"]["AIRFLOW_IMAGE"] == "apache/airflow:3.1.0"
    assert chosen["api-server"]["ports"][0]["published"] == "9090"
    assert chosen["scheduler"]["environment"]["FLOW_IMAGE"] == "flows:2"
    assert chosen["k3s"]["image"] == chosen["kubeconfig"]["image"] == "k3s:x"
    assert chosen["postgres"]["image"] == "postgres:16"
