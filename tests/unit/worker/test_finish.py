"""What a task makes of an ended flow run."""

from __future__ import annotations

import pytest

from flowjob.exceptions import ResultError
from flowjob.worker.finish import check_keys


@pytest.mark.parametrize("key", ["status", "outcome", "flow_run_id", "job_name", "return_value"])
def test_a_result_does_not_take_the_place_of_the_tasks_own_xcoms(key: str) -> None:
    with pytest.raises(ResultError, match=f"the key '{key}', which is an XCom of the task's own"):
        check_keys({"rows": 3, key: "mine"})


def test_any_other_keys_of_a_result_become_xcoms() -> None:
    check_keys({"rows": 3, "state": "done"})
