"""Fixtures for the package's own code on the real cluster, without Airflow's processes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.cluster import Cluster
from tests.support.flow_runs import FlowRuns, connect


@pytest.fixture
def flow_runs(
    cluster: Cluster, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FlowRuns]:
    connection = connect(cluster.kubeconfig, monkeypatch)
    with FlowRuns(connection, namespace, cluster.shell_image) as runs:
        yield runs
