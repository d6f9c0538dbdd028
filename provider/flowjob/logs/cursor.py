"""How far a log was read that is read in pieces.

Pure: no Airflow, no Kubernetes client.
"""

from __future__ import annotations

import re
from datetime import datetime

from flowjob.logs.line_builder import TIME
from flowjob.logs.lines import DISORDER
from flowjob.logs.rotation import ROTATION

# So many timestamps are kept before the old ones are forgotten.
_PRUNE_AT = 10_000


class LogCursor:
    """How far a log was read, and which of its last lines were seen.

    Kubernetes' ``sinceTime`` has whole seconds, so a log that is taken up again begins with lines
    that were read before; their timestamps tell them. CRI-O gives all lines of one write the same:
    there, the position among those of one timestamp does.
    """

    def __init__(self) -> None:
        # By timestamp: how many lines were taken, and how many came since the log was last begun.
        self._taken: dict[bytes, int] = {}
        self._came: dict[bytes, int] = {}
        self._latest: datetime | None = None
        # The timestamp of the last line that was taken, and its position; and whether a log that is
        # read again has not come to it yet.
        self._last: tuple[re.Match[bytes], int] | None = None
        self._is_behind = False
        #: The time of the last line before some that are missing, as far as is known; None: none.
        self.lost_after: str | None = None
        self._prune_at = _PRUNE_AT
        # Whether the last line came so late that a file may be skipped, and whether one was.
        self._is_late, self._has_skipped = False, False

    @property
    def since(self) -> str | None:
        """From when the log is to be read again (RFC 3339), None: from its beginning."""
        return (self._latest - DISORDER).isoformat() if self._latest else None

    def begin(self) -> None:
        """Take it that the log is read from ``since`` on again."""
        self._came.clear()
        # A line that stood far out of order does not come again.
        self._is_behind = (
            self._last is not None
            and self._latest is not None
            and _second_of(self._last[0]) >= self._latest - DISORDER
        )

    def begin_another(self) -> None:
        """Take it that another run's log comes next, which has none of the lines so far."""
        self._last = None

    def take(self, line: bytes, now: datetime) -> str | None:
        """Return the text of a line ``TIMESTAMP TEXT``, None where it was taken before.

        A node keeps a long line in pieces of 16 KiB, each with its time: a log that is read again
        may begin with the last of them, which was told with its line.

        :param now: the time of the node, as far as is known.
        """
        match = TIME.match(line)
        if match is None:
            # A fragment, as the rotation of a log leaves it.
            return None if self._is_behind else line.decode(errors="replace")
        timestamp, text = match.group(), line[match.end() :]
        second = _second_of(match)
        if not self._is_behind and self._is_shown_again(match):
            self.begin()
        position = self._came[timestamp] = self._came.get(timestamp, 0) + 1
        if position <= self._taken.get(timestamp, 0):
            if self._last and (timestamp, position) == (self._last[0].group(), self._last[1]):
                self._is_behind = False
            return None
        if self._is_behind and self._last:
            if _moment_of(match) < _moment_of(self._last[0]):
                return None
            # It would have come before: its log was rotated away.
            self.lost_after = self._last[0].group().decode().strip()
        if self._is_late and self._last and self._latest and second - self._latest >= ROTATION:
            # A file may be missing: a kubelet goes on with the newest, whatever there was between.
            self.lost_after, self._has_skipped = self._last[0].group().decode().strip(), True
        self._is_behind, self._is_late = False, now - second >= ROTATION
        self._last = match, position
        self._taken[timestamp] = position
        self._latest = max(second, self._latest or second)
        if len(self._taken) >= self._prune_at:
            self._prune(self._latest - DISORDER)
        return text.decode(errors="replace")

    def _is_shown_again(self, match: re.Match[bytes]) -> bool:
        """Tell whether the log goes back: a kubelet that has skipped a file may show one twice."""
        if not self._has_skipped or self._latest is None or self._last is None:
            return False
        goes_back = _moment_of(match) < _moment_of(self._last[0])
        return (goes_back and match.group() in self._taken) or (
            _second_of(match) < self._latest - DISORDER
        )

    def _prune(self, since: datetime) -> None:
        """Forget the lines that are not sent again; seldom, as a burst may be in one second."""
        kept = {
            stamp
            for stamp in self._taken
            if (match := TIME.match(stamp)) and _second_of(match) >= since
        }
        self._taken = {stamp: self._taken[stamp] for stamp in kept}
        self._came = {stamp: count for stamp, count in self._came.items() if stamp in kept}
        self._prune_at = max(_PRUNE_AT, 2 * len(kept))


def _moment_of(match: re.Match[bytes]) -> tuple[datetime, bytes]:
    return _second_of(match), (match[2] or b"").ljust(10, b"0")


def _second_of(match: re.Match[bytes]) -> datetime:
    return datetime.fromisoformat((match[1] + match[3]).decode())
