"""Read what an API server answers: an object, or line by line."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

from flowjob.cluster.errors import UnreadableAnswerError
from flowjob.kubernetes_object import KubernetesObject

if TYPE_CHECKING:
    from aiohttp import ClientResponse


def read_object(content: bytes, key: str = "kind") -> KubernetesObject:
    """Read a JSON object.

    :param key: what each of its kind has.
    :raises UnreadableAnswerError: it is none, or only half of one.
    """
    try:
        answer = json.loads(content)
    except ValueError:
        # Not its words: whoever sent it, they may be anything.
        raise UnreadableAnswerError(f"{len(content)} bytes that are no JSON") from None
    if not isinstance(answer, dict) or key not in answer:
        raise UnreadableAnswerError(f"{len(content)} bytes of JSON that are not Kubernetes'")
    return answer


async def lines_of(response: ClientResponse) -> AsyncIterator[bytes]:
    """Yield the lines of an answer, however long; the last may be half of one."""
    begun: list[bytes] = []
    async for piece, ends_line in pieces_of(response):
        begun.append(piece)
        if ends_line:
            yield b"".join(begun)
            begun.clear()
    if begun:
        yield b"".join(begun)


async def pieces_of(response: ClientResponse) -> AsyncIterator[tuple[bytes, bool]]:
    """Yield the pieces of an answer's lines as they come, and whether a line ends with each."""
    async for chunk in response.content.iter_any():
        *ends, rest = chunk.split(b"\n")
        for end in ends:
            yield end, True
        if rest:
            yield rest, False
