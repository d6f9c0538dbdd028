"""A Kueue for all tests of this folder, and queues for each."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.cluster import Cluster
from tests.support.flow_runs import flow_runs
from tests.support.kueue.program import manager
from tests.support.kueue.queues import Queues
from tests.support.kueue.running import Kueue, running_kueue

__all__ = ["flow_runs"]


@pytest.fixture(scope="session")
def kueue(
    cluster: Cluster, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Kueue]:
    """Kueue, which holds the Jobs of all namespaces that name a queue."""
    # Building takes minutes the first time: its progress must be seen, not captured.
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        manager()
    with running_kueue(cluster.kubeconfig, tmp_path_factory.mktemp("kueue")) as running:
        yield running


@pytest.fixture
def queues(kueue: Kueue, cluster: Cluster, namespace: str) -> Queues:
    """The queue `nightly` in the test's namespace, with a quota of one core."""
    made = Queues(cluster.kubeconfig, namespace)
    made.create()
    return made
