"""What a try reads from Airflow's context and configuration."""

from __future__ import annotations

import pytest

from flowjob.timeouts import DEFERRAL_MARGIN, LONGEST_DEFERRAL_MARGIN
from flowjob.worker.context import shortest_deferral


@pytest.mark.parametrize(
    ("start_up", "margin"),
    [
        pytest.param(0, DEFERRAL_MARGIN, id="unknown"),
        pytest.param(2, DEFERRAL_MARGIN, id="quiet"),
        pytest.param(8, 20, id="busy"),
        pytest.param(3600, LONGEST_DEFERRAL_MARGIN, id="cleared long ago"),
    ],
)
def test_a_busy_machine_has_longer_to_tell_the_scheduler_that_a_task_has_deferred(
    monkeypatch: pytest.MonkeyPatch, start_up: float, margin: float
) -> None:
    monkeypatch.setenv("AIRFLOW__WORKERS__MIN_HEARTBEAT_INTERVAL", "5")
    assert shortest_deferral(start_up) == 5 + margin
