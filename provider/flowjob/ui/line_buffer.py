"""``LineBuffer``: lines on their way from a flow's log to a browser that may be slower."""

from __future__ import annotations

import threading
from collections import deque

# Lines, and characters, that wait; and characters of one line that are shown.
_MOST_LINES = 5_000
_MOST_TEXT = 1_000_000
_LONGEST_LINE = 16_000


class LineBuffer:
    """Takes lines from any thread, and keeps the newest of those that nobody has fetched yet."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lines: deque[str] = deque()
        self._size = 0
        self._left_out = 0

    def put(self, line: str) -> None:
        """Take a line; where there is no room, the oldest goes."""
        line = line[:_LONGEST_LINE]
        with self._lock:
            self._lines.append(line)
            self._size += len(line)
            while len(self._lines) > _MOST_LINES or self._size > _MOST_TEXT:
                self._size -= len(self._lines.popleft())
                self._left_out += 1

    def take(self) -> list[str]:
        """Return the lines since the last time, and before them how many were left out."""
        with self._lock:
            lines, left_out = list(self._lines), self._left_out
            self._lines.clear()
            self._size = self._left_out = 0
        return [f"({left_out} lines are left out here)", *lines] if left_out else lines
