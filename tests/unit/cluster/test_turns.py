"""Who goes to the API server when many want to."""

from __future__ import annotations

import asyncio

import pytest

from flowjob.cluster.turns import Turns


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_what_users_want_to_see_first_comes_first_and_then_who_came_first() -> None:
    went: list[str] = []

    async def go(turns: Turns, name: str, priority: int) -> None:
        async with turns.turn(priority):
            went.append(name)

    async def main() -> None:
        turns = Turns(1)
        async with turns.turn():
            wishes = [("sidecar 1", 1), ("sidecar 2", 1), ("flow 1", 0), ("flow 2", 0)]
            waiting = [asyncio.create_task(go(turns, *wish)) for wish in wishes]
            await settled()
            assert went == []
        await asyncio.gather(*waiting)

    asyncio.run(main())
    assert went == ["flow 1", "flow 2", "sidecar 1", "sidecar 2"]


@pytest.mark.parametrize("called", [False, True], ids=["while it waits", "as it is called"])
def test_who_gives_up_costs_nobody_a_place(called: bool) -> None:
    async def main() -> None:
        turns = Turns(1)
        async with turns.turn():
            leaving = asyncio.create_task(turns.turn().__aenter__())
            await settled()
            if not called:
                leaving.cancel()
        # Its place was kept for it just now.
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
        assert leaving.cancelled()
        async with asyncio.timeout(5), turns.turn():
            pass

    asyncio.run(main())
