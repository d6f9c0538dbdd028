"""Behind a company's proxy, a cluster is reached as by the provider's own client and kubectl."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import yaml

from tests.support.cluster import Cluster
from tests.support.connect_proxy import ConnectProxy
from tests.support.flow_runs import FlowRuns, connect

_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[ConnectProxy]:
    for name in _VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    with ConnectProxy() as proxy:
        yield proxy


def address(kubeconfig: Path) -> str:
    content = yaml.safe_load(kubeconfig.read_text())
    return str(urlsplit(content["clusters"][0]["cluster"]["server"]).netloc)


def runs_flow(kubeconfig: Path, cluster: Cluster, namespace: str) -> None:
    monkeypatch = pytest.MonkeyPatch()
    with monkeypatch.context() as patch:
        conn_id = connect(kubeconfig, patch, "proxied")
        with FlowRuns(conn_id, namespace, cluster.shell_image) as runs:
            assert runs.run("echo behind").status == "succeeded"
            assert runs.lines == ["behind"]


@pytest.mark.parametrize("variable", ["HTTPS_PROXY", "https_proxy", "HTTP_PROXY"])
def test_a_flow_runs_behind_the_proxy_that_the_environment_names(
    cluster: Cluster,
    namespace: str,
    proxy: ConnectProxy,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
) -> None:
    monkeypatch.setenv(variable, proxy.url)
    runs_flow(cluster.kubeconfig, cluster, namespace)
    # Requests, watches and the log have connections of their own.
    assert len(proxy.connected) >= 2
    assert set(proxy.connected) == {address(cluster.kubeconfig)}


@pytest.mark.parametrize("direct", ["127.0.0.0/8", "127.0.0.1", "example.com, 127.0.0.1"])
def test_a_cluster_that_no_proxy_names_is_asked_itself(
    cluster: Cluster,
    namespace: str,
    proxy: ConnectProxy,
    monkeypatch: pytest.MonkeyPatch,
    direct: str,
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    monkeypatch.setenv("NO_PROXY", direct)
    runs_flow(cluster.kubeconfig, cluster, namespace)
    assert proxy.connected == []


def test_the_proxy_of_a_kubeconfig_is_taken_as_kubectl_does(
    cluster: Cluster,
    namespace: str,
    proxy: ConnectProxy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.0/8")
    content = yaml.safe_load(cluster.kubeconfig.read_text())
    content["clusters"][0]["cluster"]["proxy-url"] = proxy.url
    kubeconfig = tmp_path / "kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(content))
    runs_flow(kubeconfig, cluster, namespace)
    assert set(proxy.connected) == {address(cluster.kubeconfig)}
