"""Pytest fixtures: the one Airflow that all tests share, and Airflows with settings of their own.

A plugin of the tests' conftest.py.
"""

import json
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.support.airflow.instance import AirflowInstance, kubernetes_connection, running_airflow
from tests.support.cluster import Cluster
from tests.support.prefect import prefect_image
from tests.support.wait import wait_for

CHECKOUT = Path(__file__).parents[3]
DAGS_FOLDERS = {"dags": CHECKOUT / "dags", "test-dags": CHECKOUT / "tests" / "airflow" / "dags"}

# How many of the runs that tests started a failed test shows.
_RUNS_SHOWN = 3

# A kubeconfig that is no YAML.
_BROKEN_CONNECTION = {"conn_type": "kubernetes", "extra": {"kube_config": "token: [s3cret"}}

# What the flow runs of the DAG `private` have to hide, and the environment that has it.
ENV_MARKER = "env-marker-c07e"
PASSWORD = "password-marker-9a2b"
API_KEY = "key-marker-6e58"
SECRETS = {
    "AIRFLOW_CONN_PREFECT_PRIVATE": json.dumps({"conn_type": "prefect", "password": API_KEY}),
    "AIRFLOW_CONN_VAULT": json.dumps({"conn_type": "generic", "password": PASSWORD}),
    "AIRFLOW_VAR_MARKER": f"rendered {ENV_MARKER}",
}

NewAirflow = Callable[..., AbstractContextManager[AirflowInstance]]


@pytest.fixture(scope="session")
def airflow_namespace(core_v1: Any) -> Iterator[str]:
    """The namespace that the connection `kubernetes_default` names."""
    name: str = core_v1.create_namespace({"metadata": {"generateName": "airflow-"}}).metadata.name

    def has_service_account() -> bool:
        accounts = core_v1.list_namespaced_service_account(name).items
        return any(account.metadata.name == "default" for account in accounts)

    wait_for(has_service_account, f"the default service account of namespace {name}")
    yield name
    core_v1.delete_namespace(name)


@pytest.fixture(scope="session")
def effects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the flows write to."""
    folder = tmp_path_factory.mktemp("effects")
    folder.chmod(0o777)
    (folder / "lines").touch(0o666)
    return folder


@pytest.fixture(scope="session")
def new_airflow(
    cluster: Cluster,
    airflow_namespace: str,
    effects: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> NewAirflow:
    """Return a function for `with new_airflow(environment={...}) as airflow:`."""

    def new(
        *,
        on_postgres: bool = False,
        environment: Mapping[str, str] | None = None,
        dags_folders: Mapping[str, Path] = DAGS_FOLDERS,
        host: str = "127.0.0.1",
    ) -> AbstractContextManager[AirflowInstance]:
        return running_airflow(
            tmp_path_factory.mktemp("airflow"),
            dags_folders,
            on_postgres=on_postgres,
            host=host,
            environment={
                **kubernetes_connection(cluster.kubeconfig, airflow_namespace),
                "AIRFLOW_CONN_BROKEN": json.dumps(_BROKEN_CONNECTION),
                # The flows of tests take moments, and those of deferral are to test that. What is
                # to wait in the worker first says so itself.
                "AIRFLOW__FLOWJOB__DEFER_AFTER": "0",
                "FLOW_EFFECTS": str(effects),
                "FLOW_IMAGE": cluster.flow_image,
                # Whose test gives it to the node.
                "PREFECT_FLOW_IMAGE": prefect_image("0.15"),
                "FLOW_NAMESPACE": airflow_namespace,
                **(environment or {}),
            },
        )

    return new


@pytest.fixture(scope="session")
def airflow(new_airflow: NewAirflow) -> Iterator[AirflowInstance]:
    """The Airflow that all tests share, on Postgres, with the examples and the tests' DAGs."""
    with new_airflow(on_postgres=True) as instance:
        yield instance


@pytest.fixture(scope="session")
def deferring_airflow(new_airflow: NewAirflow) -> Iterator[AirflowInstance]:
    """An Airflow in which tasks wait in the triggerer if nothing else is said, and with secrets."""
    environment = {"AIRFLOW__OPERATORS__DEFAULT_DEFERRABLE": "True", **SECRETS}
    with new_airflow(on_postgres=True, environment=environment) as instance:
        yield instance


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show with a failed test how the last runs went that it started."""
    report = yield
    if report.failed and call.when == "call":
        for instance in getattr(item, "funcargs", {}).values():
            if isinstance(instance, AirflowInstance):
                report.sections.append(("Airflow's last runs", _last_runs(instance)))
    return report


def _last_runs(instance: AirflowInstance) -> str:
    try:
        runs = instance.client.triggered[-_RUNS_SHOWN:]
        return "\n".join(instance.client.run_evidence(*run) for run in runs) or "(none)"
    except Exception as error:
        # The test's own failure must not be hidden by this one.
        return f"The runs cannot be shown: {error}"
