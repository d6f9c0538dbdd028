"""The pytest fixtures for tests on a real cluster; load this module as a plugin.

The cluster is the one in the environment's KUBECONFIG, else a node of the project's own that
starts with the first test that wants it and is gone after the last.
"""

import os
import signal
from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from kubernetes import client, config

from tests.support.audit import AuditLog
from tests.support.node.images import FLOW_IMAGE, SHELL_IMAGE
from tests.support.node.node import Node, build, running_node
from tests.support.wait import wait_for

_PUBLIC_FLOW_IMAGE = "python:3.13-slim"
_PUBLIC_SHELL_IMAGE = "busybox:1.37"
_failed = pytest.StashKey[bool]()


@dataclass(frozen=True)
class Cluster:
    """The cluster that the tests run on. `node` is None where it was given by KUBECONFIG."""

    kubeconfig: Path
    node: Node | None
    flow_image: str
    shell_image: str


def _given_kubeconfig() -> Path | None:
    value = os.environ.get("KUBECONFIG")
    return Path(value).resolve() if value else None


def _cluster(kubeconfig: Path, node: Node | None, flow_image: str, shell_image: str) -> Cluster:
    flow_image = os.environ.get("FLOW_IMAGE") or flow_image
    shell_image = os.environ.get("SHELL_IMAGE") or shell_image
    return Cluster(kubeconfig, node, flow_image, shell_image)


# --- fixtures -----------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest) -> Iterator[Cluster]:
    """The cluster of this test run."""
    given = _given_kubeconfig()
    if given is not None:
        yield _cluster(given, None, _PUBLIC_FLOW_IMAGE, _PUBLIC_SHELL_IMAGE)
        return
    # Building takes minutes the first time: its progress must be seen, not captured.
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        build()
    # Who ends the test run politely is answered as if by Ctrl-C: with everything cleaned up.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with running_node() as node:
            yield _cluster(node.kubeconfig, node, FLOW_IMAGE, SHELL_IMAGE)
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.fixture
def own_node(cluster: Cluster) -> Iterator[Node]:
    """The project's own node, for tests that stop its API server or read its audit log.

    Such tests are left out where the cluster is given by KUBECONFIG. Afterwards the API server
    runs again, whatever the test did to it.
    """
    assert cluster.node is not None  # deselected otherwise
    yield cluster.node
    cluster.node.heal()


@pytest.fixture
def audit_log(own_node: Node) -> AuditLog:
    """The audit log of the project's own node."""
    return AuditLog(own_node.audit_log)


@pytest.fixture(scope="session")
def _api_client(cluster: Cluster) -> Iterator[Any]:
    with config.new_client_from_config(str(cluster.kubeconfig)) as api_client:
        yield api_client


@pytest.fixture(scope="session")
def core_v1(_api_client: Any) -> Any:
    """The Kubernetes client for pods, events, namespaces and the like."""
    return client.CoreV1Api(_api_client)


@pytest.fixture(scope="session")
def batch_v1(_api_client: Any) -> Any:
    """The Kubernetes client for Jobs."""
    return client.BatchV1Api(_api_client)


@pytest.fixture
def namespace(cluster: Cluster, core_v1: Any, request: pytest.FixtureRequest) -> Iterator[str]:
    """A namespace for one test, deleted afterwards; if the test fails, what is in it is shown."""
    created = core_v1.create_namespace({"metadata": {"generateName": "test-"}})
    name: str = created.metadata.name

    def has_service_account() -> bool:
        accounts = core_v1.list_namespaced_service_account(name).items
        return any(account.metadata.name == "default" for account in accounts)

    try:
        wait_for(has_service_account, f"the default service account of namespace {name}")
        yield name
    finally:
        if cluster.node is not None:
            cluster.node.heal()
        with suppress(client.ApiException):
            if request.node.stash.get(_failed, False):
                _print_evidence(core_v1, name)
        with suppress(client.ApiException):
            _delete_namespace(core_v1, name)


def _delete_namespace(core_v1: Any, name: str) -> None:
    # The namespace first, so that no controller makes new pods; then the pods, so that none of
    # them uses up its time to end while the next test runs.
    core_v1.delete_namespace(name)
    core_v1.delete_collection_namespaced_pod(name, grace_period_seconds=1)


def _print_evidence(core_v1: Any, name: str) -> None:
    print(f"Pods in namespace {name}:")
    for pod in core_v1.list_namespaced_pod(name).items:
        status = pod.status
        print(f"  {pod.metadata.name}: {status.phase} {status.reason or ''} {status.message or ''}")
        for container in [*(status.init_container_statuses or []), *_containers(status)]:
            state = client.ApiClient().sanitize_for_serialization(container.state)
            print(f"    {container.name}: {state}")
    print(f"Events in namespace {name}:")
    for event in core_v1.list_namespaced_event(name).items:
        about = event.involved_object
        print(f"  {event.type} {about.kind}/{about.name} {event.reason}: {event.message}")


def _containers(status: Any) -> list[Any]:
    return status.container_statuses or []


# --- hooks --------------------------------------------------------------------------------------


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Remember that a test failed, for the fixtures that end after it."""
    report = yield
    if report.failed:
        item.stash[_failed] = True
    return report


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests that need a node of our own where another cluster is given.

    First, so that all of them are counted.
    """
    if _given_kubeconfig() is None:
        return
    left_out = [item for item in items if "own_node" in getattr(item, "fixturenames", ())]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
        config.stash[_left_out] = len(left_out)


_left_out = pytest.StashKey[int]()


def pytest_report_collectionfinish(config: pytest.Config) -> str | None:
    """Say how many tests were left out, and why."""
    count = config.stash.get(_left_out, 0)
    if not count:
        return None
    return f"{count} tests left out: they need a node of their own, and KUBECONFIG is given"
