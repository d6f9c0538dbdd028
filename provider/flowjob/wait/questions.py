"""``Questions``: what many ask for, answered together."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, Generic, TypeVar

Key = TypeVar("Key")
Answer = TypeVar("Answer")


class Questions(Generic[Key, Answer]):
    """Collects what is asked for, and has one task at a time answer it.

    :param answer: takes questions out of ``open`` and answers them, until there are none.
    """

    def __init__(self, answer: Callable[[], Coroutine[Any, Any, None]]) -> None:
        self._answer = answer
        self._answering: asyncio.Task[None] | None = None
        #: By what is asked for: whom to tell.
        self.open: dict[Key, asyncio.Future[Answer]] = {}

    async def ask(self, key: Key) -> Answer:
        """Return the answer to a question, together with whoever asks the same."""
        answer = self.open.setdefault(key, asyncio.get_running_loop().create_future())
        if self._answering is None or self._answering.done():
            # A task of its own: whoever asked first may leave before the others.
            self._answering = asyncio.create_task(self._answer())
        return await asyncio.shield(answer)

    async def close(self) -> None:
        """End what is being answered."""
        if self._answering is not None:
            self._answering.cancel()
            await asyncio.gather(self._answering, return_exceptions=True)
