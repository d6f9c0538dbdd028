"""Fixtures for the package's own code on the real cluster, without Airflow's processes."""

from __future__ import annotations

import re

import pytest
from kubernetes import client, config

from tests.support.cluster import Cluster
from tests.support.flow_runs import flow_runs

__all__ = ["flow_runs"]


@pytest.fixture(scope="session")
def kubernetes_minor(cluster: Cluster) -> int:
    """The 36 of Kubernetes 1.36."""
    api = config.new_client_from_config(str(cluster.kubeconfig))
    version = client.VersionApi(api).get_code()
    return int(re.sub(r"\D", "", version.minor))


@pytest.fixture(autouse=True)
def _has_what_it_needs(request: pytest.FixtureRequest) -> None:
    if (marker := request.node.get_closest_marker("kubernetes")) is None:
        return
    (wanted,), minor = marker.args, request.getfixturevalue("kubernetes_minor")
    if minor < wanted:
        pytest.skip(f"Kubernetes 1.{wanted} is the first to have what this needs, not 1.{minor}")
