"""Fixtures for tests with a real Prefect, without a cluster and without an Airflow."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.prefect_server import PrefectServer, running_prefect


# Of each file its own: one that flows were killed in the middle of a request of may stay locked.
@pytest.fixture(scope="module")
def prefect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PrefectServer]:
    with running_prefect(tmp_path_factory.mktemp("prefect")) as server:
        yield server
