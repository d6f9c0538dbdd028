"""Text from outside (flows, kubelets, policies, proxies), made fit for Airflow.

Postgres stores no NUL and no half of a surrogate pair, and other control characters garble a log.
Pure: no Airflow, no Kubernetes client.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit, urlunsplit

_REPLACEMENT = "\N{REPLACEMENT CHARACTER}"
# Tab, line breaks and escape sequences (colours) are part of what a flow prints.
_NOT_IN_A_LOG = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1a\x1c-\x1f\x7f\ud800-\udfff]")
_NOT_IN_A_SENTENCE = re.compile("[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff]")
_NOT_STORED = re.compile("[\x00\ud800-\udfff]")


def clean(text: str) -> str:
    """Replace what must not come into a log, an XCom or an event; lines and tabs stay."""
    return _NOT_IN_A_LOG.sub(_REPLACEMENT, text)


def one_line(text: str) -> str:
    """Make one line of a text, without control characters, for a sentence."""
    return " ".join(_NOT_IN_A_SENTENCE.sub(_REPLACEMENT, text).split())


def shortened(text: str, longest: int) -> str:
    """Return the beginning of a line, with three dots for what is left out of it.

    :param text: the line.
    :param longest: characters that there may be, the dots among them.
    """
    if len(text) <= longest:
        return text
    begin = text[: longest - 3]
    # Rather between two words, where there is a word's end not too far before.
    word = begin.rfind(" ")
    return f"{begin[:word] if word > longest // 2 else begin}..."


def is_text(text: str) -> bool:
    """Tell whether somebody could read it: a quarter of it, at the most, is no character."""
    return 4 * (len(_NOT_IN_A_SENTENCE.findall(text)) + text.count(_REPLACEMENT)) <= len(text)


def shown_address(url: str) -> str:
    """Return an address without the user and the password that may be in it."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def not_stored(text: str) -> str | None:
    """Return the name (``U+0000``) of the first character that Airflow cannot store, if any."""
    found = _NOT_STORED.search(text)
    return f"U+{ord(found[0]):04X}" if found else None
