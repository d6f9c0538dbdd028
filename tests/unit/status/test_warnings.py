"""What went wrong with a flow run that goes on, or succeeded.

The others are in tests/cluster/status/test_disturbances.py.
"""

from __future__ import annotations

from flowjob.status.warnings import lost_pods, pod_warnings
from tests.unit.status.shown import CRASHED, pod, seen


def test_pods_that_were_seen_to_end_are_not_lost_and_have_no_warnings() -> None:
    ended = pod({"terminated": {"exitCode": 0, "reason": "Completed", "finishedAt": "2"}})
    assert lost_pods(seen(ended, condition="Complete")) is None
    assert list(pod_warnings(ended)) == []
    assert lost_pods(seen(pod({"running": {}}), condition="Complete")) is not None


def test_the_end_of_a_flow_that_is_restarted_is_no_warning_of_its_own() -> None:
    # Each of its attempts is told as such.
    assert list(pod_warnings(pod({"running": {}}, CRASHED))) == []
