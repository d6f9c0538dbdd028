"""``LogEnd``: when a log that has ended is to be read once more.

Pure: no Airflow, no Kubernetes client.
"""

from __future__ import annotations

from flowjob.logs.line_builder import TIME
from flowjob.timeouts import LOG_WRITING

# Bytes of one second, or of two, that are a flood: what a container runtime may still have in a
# buffer when the flow's process has ended.
_FLOOD = 32 * 1024
# So often at the most is a log read: its container may go on all the same.
_READINGS = 12
# Bytes of a line's time, to the second.
_SECOND = len("2026-01-01T00:00:00")


class LogEnd:
    """The end of a log that is read until nothing new comes.

    A node may still be writing the end of a container that ended just now: within a line, or
    between two of a flood.
    """

    def __init__(self) -> None:
        #: What there is of a last line that has no end.
        self.rest = b""
        #: The same, of the reading before.
        self.rest_before = b""
        #: Whether that was all, and a flood of lines ends within one.
        self.is_cut = False
        # The time of the last line, and how many came that have it: CRI-O gives all the lines of
        # one write the same.
        self._time = b""
        self._taken = self._came = 0
        # Whether this reading has come to where the last one has ended, and whether it had news.
        self._was_found = self._had_news = False
        self._readings = self._unchanged = 0
        # Bytes of the last second in which there are any, and of the one before.
        self._second = b""
        self._size = self._size_before = 0

    def begin(self) -> None:
        """Take it that the log is read, or read once more."""
        self.rest, self.rest_before = b"", self.rest
        self._was_found, self._had_news, self._came = not self._time, False, 0
        self._readings += 1

    def take(self, line: bytes) -> bool:
        """Tell whether a line ``TIMESTAMP TEXT`` has not come before."""
        time = line[: line.find(b" ")]
        if not self._was_found:
            if time == self._time and self._came < self._taken:
                self._came += 1
                return False
            if not self._came:
                return False
            self._was_found = True
        self._had_news = True
        self._taken = self._taken + 1 if time == self._time else 1
        self._time = time
        if (second := line[:_SECOND]) != self._second:
            self._second, self._size_before, self._size = second, self._size, 0
        self._size += len(line)
        return True

    def delay(self) -> float | None:
        """Return after which seconds to read once more from ``since``, None: that was all."""
        if self._time and not self._was_found and not self._came:
            # The node has thrown away what came before: nor does this reading have its rest.
            self.rest = self.rest_before
        changed = self._had_news or self.rest != self.rest_before
        self._unchanged = 0 if changed else self._unchanged + 1
        delays = self._delays
        is_all = self._unchanged >= len(delays) or self._readings == _READINGS
        if not (is_all or self.since is None):
            return delays[self._unchanged]
        self.is_cut = bool(self.rest) and self._has_flood
        return None

    @property
    def since(self) -> str | None:
        """From when to read once more (RFC 3339), None: the log has no times."""
        match = TIME.match(self._time + b" " if self._time else self.rest)
        return (match[1] + match[3]).decode() if match else None

    @property
    def _delays(self) -> tuple[float, ...]:
        if self.rest:
            return LOG_WRITING
        return LOG_WRITING[:1] if self._has_flood else ()

    @property
    def _has_flood(self) -> bool:
        return self._size + self._size_before >= _FLOOD
