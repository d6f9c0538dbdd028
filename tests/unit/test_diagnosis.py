"""Whether a flow run has started; what a real node shows is in tests/cluster/test_diagnosis.py."""

from __future__ import annotations

from typing import Any

import pytest

from flowjob.diagnosis import has_started
from flowjob.observation import Observation


@pytest.mark.parametrize(
    ("counts", "started"),
    [({}, False), ({"active": 1, "ready": 0}, False), ({"active": 1, "ready": 1}, True)],
)
def test_a_flow_run_whose_pods_may_not_be_listed_is_not_taken_for_one_that_does_not_start(
    counts: dict[str, Any], started: bool
) -> None:
    assert has_started(Observation({"metadata": {"name": "job"}, "status": counts})) is started
