"""How long it takes until a request is sent again."""

from __future__ import annotations

from itertools import islice

from flowjob.cluster.retries import delays


def test_a_server_that_is_away_is_asked_soon_and_then_ever_more_seldom() -> None:
    seconds = list(islice(delays(longest=10), 50))
    assert seconds[0] <= 0.2
    assert all(5 <= delay <= 10 for delay in seconds[10:])


def test_many_who_wait_do_not_all_come_at_once() -> None:
    assert len({list(islice(delays(), 8))[-1] for _ in range(100)}) > 90
