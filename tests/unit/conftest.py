"""Fixtures for what only an API server of the test's own can be made to answer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from flowjob.cluster.api_server import Cluster
from flowjob.worker.loop_thread import LoopThread
from tests.support.fake_api_server import FakeApiServer
from tests.support.flow_runs import connect


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FakeApiServer]:
    with FakeApiServer(tmp_path) as running:
        yield running


@pytest.fixture
def loop() -> Iterator[LoopThread]:
    with LoopThread() as running:
        yield running


@pytest.fixture
def cluster(
    server: FakeApiServer, loop: LoopThread, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Cluster]:
    with loop.use(Cluster(connect(server.kubeconfig, monkeypatch, "fake"))) as connected:
        yield connected
