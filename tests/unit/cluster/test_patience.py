"""What may pass is waited for, said once a minute, and given up in the end; the rest is final."""

from __future__ import annotations

import logging
from contextlib import suppress

import aiohttp
import pytest

from flowjob.cluster.errors import ApiError, CredentialsError, UnreadableAnswerError
from flowjob.cluster.patience import REFUSALS, Patience
from flowjob.exceptions import ClusterError

AWAY = aiohttp.ClientConnectionError("refused")
MISSING_RIGHT = {"reason": "Forbidden", "message": 'User "x" cannot create resource "jobs"'}
DENIED = {"reason": "Forbidden", "message": "admission webhook denied the request"}


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


def wait_with(patience: Patience, clock: Clock, error: Exception) -> Exception:
    """Return what ends the wait for an error that never passes."""
    while clock.now < 10_000:
        try:
            clock.now += patience.take(error)
        except Exception as end:
            return end
    raise AssertionError("it is waited for without end")


def patient(clock: Clock, **arguments: object) -> Patience:
    return Patience("no answer from X", 600, clock=clock, **arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "error",
    [
        AWAY,
        TimeoutError(),
        ApiError(500, {}),
        ApiError(520, {}),
        ApiError(429, {}),
        ApiError(408, {}),
        UnreadableAnswerError("12 bytes that are no JSON"),
        CredentialsError("not renewed"),
    ],
    ids=repr,
)
def test_a_server_that_is_away_for_good_is_given_up_after_ten_minutes_with_the_last_error(
    clock: Clock, error: Exception
) -> None:
    end = wait_with(patient(clock), clock, error)
    assert isinstance(end, ClusterError)
    assert end.heals_by_retry
    assert str(end).startswith("no answer from X for 600 s: ")
    assert clock.now == 600


def test_what_is_waited_for_is_said_at_once_and_then_once_a_minute(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    wait_with(patient(clock), clock, AWAY)
    told = [record.getMessage() for record in caplog.records]
    assert set(told) == {"There is no answer from X (refused): trying again"}
    assert 9 <= len(told) <= 11
    assert [record.levelname for record in caplog.records[:2]] == ["INFO", "WARNING"]


def test_a_success_begins_all_anew(clock: Clock) -> None:
    patience = patient(clock)
    for _ in range(100):
        clock.now += patience.take(AWAY)
        clock.now += 599
        patience.settle()


def test_a_user_whom_the_api_server_does_not_know_is_final_after_half_a_minute(
    clock: Clock,
) -> None:
    error = ApiError(401, {})
    assert wait_with(patient(clock), clock, error) is error
    assert clock.now == 30


def test_a_missing_right_is_final_at_once_but_where_it_is_doubted(clock: Clock) -> None:
    error = ApiError(403, MISSING_RIGHT)
    assert wait_with(patient(clock), clock, error) is error
    assert clock.now == 0
    assert wait_with(patient(clock, doubted=REFUSALS), clock, error) is error
    assert clock.now == 30


@pytest.mark.parametrize(
    "error",
    [ApiError(403, DENIED), ApiError(404, {}), ApiError(422, {}), ValueError()],
    ids=repr,
)
def test_what_stays_is_final_at_once_also_where_rights_are_doubted(
    clock: Clock, error: Exception
) -> None:
    assert wait_with(patient(clock, doubted=REFUSALS), clock, error) is error
    assert clock.now == 0


def test_a_proxy_that_forbids_in_words_of_its_own_is_doubted_too(clock: Clock) -> None:
    error = ApiError(403, {"message": "<html>Forbidden</html>"})
    assert wait_with(patient(clock, doubted=REFUSALS), clock, error) is error
    assert clock.now == 30


def test_a_server_that_starts_over_and_over_is_given_up_all_the_same(clock: Clock) -> None:
    patience = patient(clock)
    with suppress(ApiError, ClusterError):
        while clock.now < 10_000:
            for error in (AWAY, ApiError(401, {})):
                clock.now += patience.take(error)
    assert 590 <= clock.now <= 640


def test_a_server_that_says_when_to_come_again_is_obeyed_within_the_limit(clock: Clock) -> None:
    assert patient(clock).take(ApiError(429, {}, retry_after=7)) == 7
    assert patient(clock).take(ApiError(429, {}, retry_after=7000)) == 600
