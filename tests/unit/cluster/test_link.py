"""Who asks the API server: credentials that are renewed, that hang, and whose they are."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from flowjob.cluster.api_server import Cluster
from flowjob.cluster.connection import credentials_of, load_connection
from flowjob.exceptions import ClusterError
from flowjob.worker.loop_thread import LoopThread
from tests.support.fake_api_server import UNAUTHORIZED, Answer, Asked, FakeApiServer, job
from tests.support.flow_runs import connect

# A plugin whose runs are counted: each does what is written in a file of its number.
PLUGIN = """#!/bin/sh
cd {folder}
echo run >> runs
. ./run-$(wc -l < runs)
echo '{{"apiVersion": "client.authentication.k8s.io/v1", "kind": "ExecCredential",' \
    '"status": {{"token": "'$TOKEN'"'$EXPIRY'}}}}'
"""


class Plugin:
    """An exec plugin, and the user of a kubeconfig whose token it gives."""

    def __init__(self, folder: Path, *runs: str) -> None:
        self._folder = folder
        folder.mkdir()
        script = folder / "plugin"
        script.write_text(PLUGIN.format(folder=folder))
        script.chmod(stat.S_IRWXU)
        for number, run in enumerate(runs, start=1):
            (folder / f"run-{number}").write_text(run)
        self.user: dict[str, Any] = {
            "exec": {
                "apiVersion": "client.authentication.k8s.io/v1",
                "command": str(script),
                "interactiveMode": "Never",
            }
        }

    @property
    def runs(self) -> int:
        file = self._folder / "runs"
        return len(file.read_text().splitlines()) if file.exists() else 0


def only(token: str) -> Any:
    """React to this token alone."""

    def react(asked: Asked) -> Answer:
        is_known = asked.headers.get("Authorization") == f"Bearer {token}"
        return Answer(job("sales")) if is_known else UNAUTHORIZED

    return react


def test_a_renewal_of_credentials_that_fails_once_passes(
    tmp_path: Path, loop: LoopThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin = Plugin(tmp_path / "plugin", "TOKEN=old", "echo no network >&2; exit 1", "TOKEN=new")
    with FakeApiServer(tmp_path, plugin.user) as server:
        server.tell("GET", "/jobs/sales", only("new"))
        with loop.use(Cluster(connect(server.kubeconfig, monkeypatch))) as cluster:
            assert loop.run(cluster.find_job("flows", "sales")) == job("sales")
    assert plugin.runs == 3


def test_many_who_are_refused_at_once_renew_their_credentials_once(
    tmp_path: Path, loop: LoopThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin = Plugin(tmp_path / "plugin", "TOKEN=old", "TOKEN=new")
    with FakeApiServer(tmp_path, plugin.user) as server:
        server.tell("GET", "/jobs/sales", only("new"))

        async def ask() -> None:
            asking = [cluster.find_job("flows", "sales") for _ in range(300)]
            async with asyncio.timeout(60):
                assert all(await asyncio.gather(*asking))

        with loop.use(Cluster(connect(server.kubeconfig, monkeypatch))) as cluster:
            loop.run(ask())
    assert plugin.runs == 2


EXPIRED = 'TOKEN=old; EXPIRY=\', "expirationTimestamp": "2026-01-01T00:00:00Z"\''


def test_an_exec_plugin_that_hangs_is_told_given_up_and_holds_up_nobody_else(
    tmp_path: Path,
    loop: LoopThread,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    monkeypatch.setattr("flowjob.cluster.link.LOADING_TIMEOUT", 1)
    monkeypatch.setattr("flowjob.cluster.transport.PATIENCE", 6)
    monkeypatch.setattr("flowjob.cluster.link.PATIENCE", 6)
    for name in ("hangs", "healthy"):
        (tmp_path / name).mkdir()
    waits = f"while [ -e {tmp_path}/login ]; do sleep 0.1; done; exit 1"
    (tmp_path / "login").touch()
    plugin = Plugin(tmp_path / "plugin", waits)
    late = Plugin(tmp_path / "late", EXPIRED, waits)
    with (
        FakeApiServer(tmp_path / "hangs", plugin.user) as hanging,
        FakeApiServer(tmp_path / "healthy") as server,
    ):
        server.tell("GET", "/jobs/sales", Answer(job("sales")))

        async def first(conn_id: str) -> None:
            async with Cluster(conn_id):
                pass

        async def others() -> None:
            conn_id = connect(server.kubeconfig, monkeypatch, "healthy")
            async with asyncio.timeout(5), Cluster(conn_id) as cluster:
                assert await cluster.find_job("flows", "sales")

        async def renewal(conn_id: str) -> None:
            async with Cluster(conn_id) as cluster:
                asking = [cluster.find_job("flows", "sales") for _ in range(50)]
                answers = await asyncio.gather(*asking, return_exceptions=True)
                assert {type(answer) for answer in answers} == {ClusterError}
                raise answers[0]  # type: ignore[misc]

        given_up = loop.start(first(connect(hanging.kubeconfig, monkeypatch, "hangs")))
        loop.run(others())
        with pytest.raises(ClusterError, match="may wait for a login"):
            given_up.result(30)
        assert plugin.runs == 1
        content = yaml.safe_load(hanging.kubeconfig.read_text())
        content["users"][0]["user"] = late.user
        hanging.kubeconfig.write_text(yaml.safe_dump(content))
        with pytest.raises(ClusterError, match=r"are not renewed: .* may wait for a login"):
            loop.run(renewal(connect(hanging.kubeconfig, monkeypatch, "late")))
        assert late.runs == 2
    (tmp_path / "login").unlink()
    assert "may wait for a login): trying again" in caplog.text


HANG = """
import asyncio, json, os, sys
from flowjob.cluster.api_server import Cluster
async def main():
    try:
        async with asyncio.timeout(1), Cluster("hangs"): pass
    except TimeoutError:
        print("left")
asyncio.run(main())
"""


def test_a_process_ends_although_an_exec_plugin_hangs(tmp_path: Path) -> None:
    plugin = Plugin(tmp_path / "plugin", "while [ -e plugin ]; do sleep 0.1; done")
    with FakeApiServer(tmp_path, plugin.user) as server:
        extra = {"kube_config_path": str(server.kubeconfig)}
        connection = {"conn_type": "kubernetes", "extra": extra}
        done = subprocess.run(
            [sys.executable, "-c", HANG],
            env={**os.environ, "AIRFLOW_CONN_HANGS": json.dumps(connection)},
            stdout=subprocess.PIPE,
            text=True,
            check=True,
            timeout=120,
        )
    (tmp_path / "plugin" / "plugin").unlink()
    assert done.stdout.endswith("left\n")


@pytest.mark.parametrize("user", [{"token": "mine"}, {}], ids=["a token", "no credentials"])
def test_passwords_of_netrc_are_nobodys_business(
    tmp_path: Path, loop: LoopThread, monkeypatch: pytest.MonkeyPatch, user: dict[str, str]
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login me password s3cret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    with FakeApiServer(tmp_path, user) as server:
        server.tell("GET", "/jobs/sales", Answer(job("sales")))
        with loop.use(Cluster(connect(server.kubeconfig, monkeypatch))) as cluster:
            assert loop.run(cluster.find_job("flows", "sales"))
    assert [each.headers.get("Authorization") for each in server.asked] == [
        "Bearer mine" if user else None
    ]


def test_a_cluster_behind_a_proxy_is_reached_and_one_that_is_not_is_asked_itself(
    tmp_path: Path, loop: LoopThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("proxy", "near"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("NO_PROXY", "127.0.0.0/8")
    with (
        FakeApiServer(tmp_path / "proxy", host="cluster.example:6443") as proxy,
        FakeApiServer(tmp_path / "near") as near,
    ):
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
        for server in (proxy, near):
            server.tell("GET", "/jobs/sales", Answer(job("sales")))
            conn_id = connect(server.kubeconfig, monkeypatch)
            with loop.use(Cluster(conn_id)) as cluster:
                assert loop.run(cluster.find_job("flows", "sales"))
    assert [each.headers["Host"] for each in proxy.asked] == ["cluster.example:6443"]
    assert len(near.asked) == 1


def test_two_connections_that_are_loaded_at_once_keep_their_own_cluster_and_credentials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sys.getswitchinterval()
    names = [f"cluster-{number}" for number in range(4)]
    for name in names:
        (tmp_path / name).mkdir()
        server = FakeApiServer(tmp_path / name, {"token": name}, host=f"{name}.example")
        with server:
            connect(server.kubeconfig, monkeypatch, name.replace("-", "_"))

    def load(name: str) -> tuple[str, str]:
        configuration = load_connection(name.replace("-", "_")).configuration
        return configuration.host, credentials_of(configuration)["authorization"]

    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(4) as threads:
            for name, loaded in zip(names * 50, threads.map(load, names * 50), strict=True):
                assert loaded == (f"http://{name}.example", f"Bearer {name}")
    finally:
        sys.setswitchinterval(before)
