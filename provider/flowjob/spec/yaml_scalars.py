"""What a YAML value without quotes stands for, as the API server reads it.

YAML 1.1, YAML 1.2, PyYAML and the API server's reader (Go's yaml.v2) each have rules of their
own: ``1:30`` is a number to PyYAML alone, ``y`` a boolean to the API server alone. What counts is
the API server, so that a file means here what it means to ``kubectl``. The tests ask it.

Pure: no Airflow, no Kubernetes client.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal

_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("y", "Y", "yes", "Yes", "YES", "on", "On", "ON"), True),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("n", "N", "no", "No", "NO", "off", "Off", "OFF"), False),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_INFINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_NUMBER = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_INTEGERS = {
    16: re.compile(r"([-+]?)0[xX]([0-9a-fA-F]+)"),
    8: re.compile(r"([-+]?)0[oO]?([0-7]+)"),
    2: re.compile(r"([-+]?)0[bB]([01]+)"),
    10: re.compile(r"([-+]?)(0|[1-9][0-9]{0,19})"),
}
# Integers that the API server reads exactly; it takes larger ones for floating point numbers.
_SMALLEST, _LARGEST = -(2**63), 2**64 - 1
# From here on, JSON has a number with an exponent.
_LARGEST_WRITTEN = 1e21


def read_plain(text: str) -> str | int | float | bool | None:
    """Return what a value without quotes stands for.

    A number without a fraction is an integer, as it is in the JSON that the API server makes of
    it: ``1e3`` and ``1000.0`` are 1000.
    """
    if text in _WORDS:
        return _WORDS[text]
    if _INFINITE.fullmatch(text):
        return float(text.lower().replace(".", ""))
    if text[0] not in "+-.0123456789":
        return text
    # One that begins with a point may have no underscores.
    digits = text if text[0] == "." else text.replace("_", "")
    integer = _integer(digits)
    if integer is not None:
        return integer
    if not _NUMBER.fullmatch(digits):
        return text
    number = _floating_point(digits)
    # Too large for a number of any kind: the API server leaves it as it is.
    return text if number is None else number


def _integer(digits: str) -> int | None:
    for base, pattern in _INTEGERS.items():
        if found := pattern.fullmatch(digits):
            value = int(found[1] + found[2], base)
            return value if _SMALLEST <= value <= _LARGEST else None
    return None


def _floating_point(digits: str) -> int | float | None:
    value = float(digits)
    if math.isinf(value):
        return None
    if value.is_integer() and abs(value) < _LARGEST_WRITTEN:
        # Through the digits that JSON shows of it, as the API server does it.
        return int(Decimal(repr(value)))
    return value
