"""What a Job's status says of itself."""

from __future__ import annotations

from typing import Any

import pytest

from flowjob.status.job import is_new

METADATA = {"name": "sales", "uid": "1", "resourceVersion": "7"}


@pytest.mark.parametrize("status", [{}, {"status": {}}, {"status": None}])
def test_a_job_is_new_as_it_was_answered_when_it_was_created(status: dict[str, Any]) -> None:
    assert is_new({"metadata": METADATA, **status})


@pytest.mark.parametrize(
    "job",
    [
        {"metadata": {"name": "sales", "uid": "1"}},
        {"metadata": METADATA, "status": {"startTime": "2026-01-01T00:00:00Z"}},
        {"metadata": METADATA | {"deletionTimestamp": "2026-01-01T00:00:00Z"}},
    ],
    ids=["of which metadata alone is known", "that has begun", "that is deleted"],
)
def test_a_job_of_which_more_may_be_known_is_read_first(job: dict[str, Any]) -> None:
    assert not is_new(job)
