"""What the bench's figures mean: ratios to the best of the others, and what is aimed at."""

from __future__ import annotations

import pytest

from tests.bench.contenders import JOB, OUR_FUNCTION, OURS, POD, POD_FUNCTION
from tests.bench.goals import misses, verdicts
from tests.bench.result import Measure
from tests.unit.bench.shown import function_seconds, seconds


def test_ours_is_compared_with_the_best_of_its_peers() -> None:
    (found,) = verdicts(seconds(5, 20, 10, 3))
    assert (found.ours, found.peer, found.ratio) == (OURS.name, POD.name, 0.5)
    assert found.own_ratio == pytest.approx(2 / 7)


def test_one_slow_run_decides_nothing() -> None:
    samples = {OURS.name: (1.0, 1.0, 90.0), JOB.name: (2.0, 4.0, 4.0)}
    (found,) = verdicts(Measure("seconds", "s", samples))
    assert found.ratio == 0.25


def test_a_decorated_function_is_compared_with_a_decorated_function() -> None:
    samples = {**seconds(5, 20, 10).samples, **function_seconds(6, 8)}
    found = {verdict.ours: verdict.peer for verdict in verdicts(Measure("seconds", "s", samples))}
    assert found == {OURS.name: POD.name, OUR_FUNCTION.name: POD_FUNCTION.name}


def test_more_is_better_where_it_is() -> None:
    samples = {OURS.name: (400.0,), JOB.name: (100.0,), POD.name: (200.0,)}
    (found,) = verdicts(Measure("log", "lines/s", samples, better="more"))
    assert (found.peer, found.ratio, found.state) == (POD.name, 0.5, "met")


@pytest.mark.parametrize(
    ("ours", "peer", "floor", "limit", "state"),
    [
        (5.0, 10.0, 3.0, 0.5, "met"),
        (5.1, 10.0, 3.0, 0.5, "at the floor"),
        (6.5, 10.0, 3.0, 0.5, "at the floor"),
        (6.6, 10.0, 3.0, 0.5, "missed"),
        # The peer works for no more than a second of its own.
        (3.9, 4.0, 3.0, 1.0, "met"),
        (2.9, 2.9, 3.0, 1.0, "met"),
        (4.1, 4.0, 3.0, 1.0, "missed"),
    ],
)
def test_half_is_aimed_at_where_a_peer_works_for_more_than_a_second_of_its_own(
    ours: float, peer: float, floor: float, limit: float, state: str
) -> None:
    (found,) = verdicts(seconds(ours, 100, peer, floor))
    assert (found.limit, found.state) == (limit, state)


@pytest.mark.parametrize(("ours", "state"), [(7.0, "met"), (7.5, "missed")])
def test_nothing_may_take_more_than_the_best_peer(ours: float, state: str) -> None:
    measure = Measure("API requests", "requests", {OURS.name: (ours,), JOB.name: (7.0,)})
    assert [verdict.state for verdict in verdicts(measure)] == [state]


def test_what_nobody_else_has_measured_has_no_ratio() -> None:
    assert verdicts(Measure("20,000 waits", "MiB", {OURS.name: (1.0,)})) == []


def test_a_peer_that_takes_nothing_is_no_division_by_zero() -> None:
    measure = Measure("requests", "requests", {OURS.name: (1.0,), JOB.name: (0.0,)})
    assert [verdict.ratio for verdict in verdicts(measure)] == [float("inf")]
    measure = Measure("requests", "requests", {OURS.name: (0.0,), JOB.name: (0.0,)})
    assert [verdict.ratio for verdict in verdicts(measure)] == [1.0]


def test_each_goal_that_is_missed_is_said() -> None:
    slow = seconds(9, 20, 10, 3)
    requests = Measure("requests", "requests", {OURS.name: (7,), POD.name: (14,)}, at_most=6)
    assert misses([slow, requests, seconds(4, 20, 10, 3)]) == [
        "no-op: trigger to success: FlowJobOperator has 0.90 of KubernetesPodOperator's, and is to "
        "have at most 0.5",
        "requests: FlowJobOperator has 7.0 requests, and is to have at most 6",
    ]
