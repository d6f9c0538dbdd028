"""An error of the API server's is tried again, or told: what decides, without a server."""

from __future__ import annotations

import aiohttp
import pytest

from flowjob.cluster.errors import ApiError, describe, is_transient, refusal
from flowjob.exceptions import ClusterError, JobRefusedError

JOB = {"kind": "Job", "metadata": {"name": "sales-1", "namespace": "flows"}}


@pytest.mark.parametrize(
    "error",
    [
        ApiError(429, {}),
        ApiError(503, {}),
        aiohttp.ClientConnectionError(),
        aiohttp.ServerTimeoutError(),
        TimeoutError(),
        ConnectionResetError(),
    ],
    ids=repr,
)
def test_a_server_that_is_away_or_overloaded_is_asked_again(error: Exception) -> None:
    assert is_transient(error)


@pytest.mark.parametrize(
    "error", [ApiError(403, {}), ApiError(404, {}), ApiError(409, {}), ValueError()], ids=repr
)
def test_an_answer_that_will_stay_is_not_asked_for_again(error: Exception) -> None:
    assert not is_transient(error)


def test_an_error_without_a_text_is_told_by_its_kind() -> None:
    assert describe(TimeoutError()) == "TimeoutError"
    assert describe(ConnectionResetError("reset by peer")) == "reset by peer"


def test_a_job_that_would_be_refused_again_fails_its_task_for_good_and_names_the_fields() -> None:
    status = {"reason": "BadRequest", "message": 'strict decoding error: unknown field "spec.x"'}
    error = refusal(JOB, ApiError(400, status))
    assert isinstance(error, JobRefusedError)
    assert not error.heals_by_retry
    assert list(error.fields) == ["spec.x"]
    assert "the Job 'sales-1' in namespace 'flows'" in str(error)


def test_a_job_that_a_later_try_may_create_fails_this_try_alone() -> None:
    error = refusal(JOB, ApiError(401, {"reason": "Unauthorized"}))
    assert isinstance(error, ClusterError)
    assert error.heals_by_retry
