"""Build one line of a log from its pieces, whatever a flow writes between two line breaks.

Pure: no Airflow, no Kubernetes client.
"""

from __future__ import annotations

import re

# What Kubernetes puts before each line: the time to the second, its fraction, and the time zone.
TIME = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d) ")

# Bytes of a line that are kept: somebody is to read it.
LONGEST_LINE = 256 * 1024
# Carriage returns within a line that make it a progress bar.
_RETURNS_OF_BAR = 3
# Bytes in which the time before a line ends.
_LONGEST_TIME = 64


class LineBuilder:
    """Builds one line, in bounded memory.

    Of what carriage returns take back, as progress bars do, the last state is kept, as a terminal
    shows it: from the third on, as one or two may stand in any text. Of a line that is too long,
    its beginning is kept.
    """

    def __init__(self) -> None:
        self._text = bytearray()
        self._cut = 0
        self._is_bar = False
        #: The last state that a carriage return took back, empty: none.
        self.state = b""

    def add(self, piece: bytes) -> None:
        """Take the next piece."""
        if b"\r" in piece or self._text.endswith(b"\r"):
            self._text += piece
            self._take_back()
        else:
            room = LONGEST_LINE - len(self._text)
            self._text += piece[:room]
            self._cut += max(len(piece) - room, 0)

    @property
    def line(self) -> bytes:
        """The line as far as it has come, with a word about what is cut."""
        text = bytes(self._text).rstrip(b"\r")
        return text + b" [%d more bytes of this line are cut]" % self._cut if self._cut else text

    def _take_back(self) -> None:
        """Forget what a carriage return takes back; one at the end is that of CR LF, if it ends."""
        time = TIME.match(self._text[:_LONGEST_TIME])
        begin = time.end() if time else 0
        end = len(self._text.rstrip(b"\r"))
        last = self._text.rfind(b"\r", begin, end)
        self._is_bar = self._is_bar or self._text.count(b"\r", begin, end) >= _RETURNS_OF_BAR
        if self._is_bar and last >= 0:
            state = self._text[self._text.rfind(b"\r", begin, last) + 1 or begin : last]
            self.state = bytes(self._text[:begin] + state) if state else self.state
            del self._text[begin : last + 1]
            self._cut = 0
        self._cut += max(len(self._text) - LONGEST_LINE, 0)
        del self._text[LONGEST_LINE:]
