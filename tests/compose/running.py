"""docker-compose.yaml as a user runs it: `make test-compose`, as it takes some minutes.

The images that the file would pull are made of what is at hand (`stand_ins.py`); its services,
health checks, dependencies, volumes, port and build are its own.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

import flowjob
from tests.compose.engine import Engine, running_engine
from tests.compose.program import compose_command
from tests.compose.stand_ins import give_images
from tests.matrix.cells import CHECKOUT, airflow_version
from tests.support.node.images import FLOW_IMAGE
from tests.support.wait import wait_for

PORT = "18080"
UI = f"http://127.0.0.1:{PORT}"
RUN = ("hello_flow", "as-a-user")


class Laptop:
    """An engine with the file's services."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def compose(self, *arguments: str) -> str:
        command = [*compose_command(), "--project-directory", str(CHECKOUT)]
        done = subprocess.run(
            [*command, "--project-name", "flowjob", *arguments],
            env=self.engine.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{done.stderr[-3000:]}\n{self.evidence()}"
        return done.stdout

    def evidence(self) -> str:
        """Return how each container is, and the last lines of those that are not well."""
        names = self.engine.docker("ps", "--all", "--format", "{{.Names}} {{.Status}}")
        lines = [names]
        for line in names.splitlines():
            if "(healthy)" not in line and "Exited (0)" not in line:
                name = line.split()[0]
                lines.append(self.engine.docker("logs", "--tail", "40", name))
        return "\n".join(lines)

    def container(self, service: str) -> dict[str, Any]:
        name = self.compose("ps", "--all", "--quiet", service).strip()
        found: dict[str, Any] = json.loads(self.engine.docker("inspect", name))[0]
        return found

    def ask(self, path: str, *curl: str) -> Any:
        """Ask Airflow's API as a browser on this laptop does, and return its answer."""
        token = json.loads(self.engine.inside("curl", "--silent", "--fail", f"{UI}/auth/token"))
        header = f"Authorization: Bearer {token['access_token']}"
        command = ["curl", "--silent", "--show-error", "--fail", "--header", header, *curl]
        return json.loads(self.engine.inside(*command, f"{UI}/api/v2/{path}"))


@pytest.fixture(scope="module")
def laptop(request: pytest.FixtureRequest) -> Iterator[Laptop]:
    # Making the images takes minutes the first time: its progress must be seen, not captured.
    capture = request.config.pluginmanager.getplugin("capturemanager")
    environment = {"AIRFLOW_PORT": PORT, "FLOW_IMAGE": FLOW_IMAGE}
    with running_engine(environment) as engine:
        with capture.global_and_fixture_disabled():
            compose_command()
            give_images(engine)
        laptop = Laptop(engine)
        laptop.compose("up", "--build", "--wait", "--wait-timeout", "600", "--quiet-pull")
        yield laptop


def services() -> set[str]:
    command = [*compose_command(), "--project-directory", str(CHECKOUT), "config", "--services"]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split())


ONCE = {"init", "kubeconfig"}


def test_whatever_goes_on_running_is_healthy_and_the_rest_has_succeeded(laptop: Laptop) -> None:
    for service in services() - ONCE:
        state = laptop.container(service)["State"]
        assert state["Health"]["Status"] == "healthy", service
        assert state["Health"]["Log"][-1]["ExitCode"] == 0, service
    for service in ONCE:
        state = laptop.container(service)["State"]
        assert (state["Status"], state["ExitCode"]) == ("exited", 0), service


def test_nothing_starts_before_what_it_needs(laptop: Laptop) -> None:
    def at(service: str, moment: str) -> datetime:
        text = laptop.container(service)["State"][moment]
        return datetime.fromisoformat(f"{text[:19]}+00:00")

    assert at("init", "StartedAt") >= at("postgres", "StartedAt")
    assert at("kubeconfig", "StartedAt") >= at("k3s", "StartedAt")
    for service in services() - ONCE - {"postgres", "k3s"}:
        for before in ONCE:
            assert at(service, "StartedAt") >= at(before, "FinishedAt"), service
    for service in ("scheduler", "triggerer"):
        assert at(service, "StartedAt") > at("api-server", "StartedAt")


def test_the_ui_is_there_with_the_examples_and_reached_from_this_machine_alone(
    laptop: Laptop,
) -> None:
    assert "<title>Airflow</title>" in laptop.engine.inside("curl", "--silent", f"{UI}/")
    assert laptop.ask("version")["version"] == airflow_version(CHECKOUT / "constraints.txt")

    def dags() -> set[str]:
        return {dag["dag_id"] for dag in laptop.ask("dags")["dags"]}

    examples = {"hello_flow", "nightly_sales", "flow_job_sweep"}
    wait_for(lambda: examples <= dags(), "the examples", 60)
    assert laptop.ask("importErrors")["import_errors"] == []
    (address,) = laptop.engine.inside("ss", "-Hltn", f"sport = :{PORT}").splitlines()
    assert f"127.0.0.1:{PORT}" in address


def test_airflow_has_the_package_of_this_checkout(laptop: Laptop) -> None:
    (provider,) = (
        each
        for each in laptop.ask("providers?limit=100")["providers"]
        if each["package_name"] == "airflow-provider-flowjob"
    )
    assert provider["version"] == flowjob.__version__


def test_a_flow_that_is_triggered_runs_on_the_cluster_and_its_log_is_shown(laptop: Laptop) -> None:
    dag_id, run_id = RUN
    body = ["--request", "PATCH", "--json", '{"is_paused": false}']
    laptop.ask(f"dags/{dag_id}", *body)
    body = ["--json", json.dumps({"dag_run_id": run_id, "logical_date": None})]
    laptop.ask(f"dags/{dag_id}/dagRuns", *body)
    run = f"dags/{dag_id}/dagRuns/{run_id}"

    def ended() -> str | None:
        state: str = laptop.ask(run)["state"]
        return state if state in ("success", "failed") else None

    state = wait_for(ended, "the run to end", 180)
    (task,) = {each["task_id"] for each in laptop.ask(f"{run}/taskInstances")["task_instances"]}
    log = str(laptop.ask(f"{run}/taskInstances/{task}/logs/1"))
    assert state == "success", log
    assert "Created the Job" in log
    assert "ended its flow with exit code 0" in log


def test_what_was_run_outlives_the_containers(laptop: Laptop) -> None:
    laptop.compose("rm", "--force", "--stop", "postgres", "scheduler")
    laptop.compose("up", "--no-build", "--wait", "--wait-timeout", "300")
    dag_id, run_id = RUN
    run = f"dags/{dag_id}/dagRuns/{run_id}"
    assert laptop.ask(run)["state"] == "success"
    (task,) = {each["task_id"] for each in laptop.ask(f"{run}/taskInstances")["task_instances"]}
    assert "Created the Job" in str(laptop.ask(f"{run}/taskInstances/{task}/logs/1"))


def test_nothing_is_left_after_it_was_taken_down(laptop: Laptop) -> None:
    laptop.compose("down", "--volumes")
    assert laptop.engine.docker("ps", "--all", "--quiet") == ""
    assert laptop.engine.docker("volume", "ls", "--quiet") == ""
