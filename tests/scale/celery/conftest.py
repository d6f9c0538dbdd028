"""What the tests of tests/airflow find here: an Airflow whose tasks run in Celery's workers."""

from collections.abc import Iterator

import pytest

from tests.support.airflow.celery import CeleryAirflow, celery_airflow
from tests.support.airflow.fixtures import NewAirflow
from tests.support.airflow.instance import AirflowInstance


@pytest.fixture(scope="package")
def _celery(new_airflow: NewAirflow) -> Iterator[CeleryAirflow]:
    with celery_airflow(new_airflow) as running:
        yield running


@pytest.fixture
def celery(_celery: CeleryAirflow) -> CeleryAirflow:
    """The same Airflow, with its broker and with both workers alive."""
    _celery.revive()
    return _celery


@pytest.fixture(scope="package")
def fragile_airflow(_celery: CeleryAirflow) -> AirflowInstance:
    """An Airflow that notices soon that a worker is dead, and whose parts may be killed."""
    return _celery.airflow
