"""Copy a job spec as the JSON that it is sent as. Pure: no Airflow, no Kubernetes client."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from flowjob.exceptions import JobSpecError

# Levels of mappings and lists in one another; a Job of Kubernetes' own fields has about 15.
_DEEPEST = 100
# Fields and values in all.
_MOST_VALUES = 100_000
# Integers are smaller in JSON, as Go writes it; Kubernetes has none that is larger.
_LARGEST = 10**21
# Characters of a name that a message repeats.
_LONGEST_NAME = 100


def json_copy(value: Any, where: Callable[[str], str]) -> Any:
    """Return the value as plain dicts, lists and scalars, none of which stands in two places.

    What an alias of YAML, or a variable of Python, puts into two places of a spec would change in
    both when one is changed.

    :param value: the job spec.
    :param where: names the place of a field (``spec.template``) for messages.
    :raises JobSpecError: it holds what JSON does not have, or is too deep or too large.
    """
    return _Copy(where).of(value, "", 0)


class _Copy:
    def __init__(self, where: Callable[[str], str]) -> None:
        self._where = where
        self._count = 0

    def of(self, value: Any, field: str, depth: int) -> Any:
        self._count += 1
        if self._count > _MOST_VALUES:
            raise self._error(field, f"the job spec has more than {_MOST_VALUES} values")
        if depth > _DEEPEST:
            raise self._error("", f"the job spec has more than {_DEEPEST} levels")
        if isinstance(value, Mapping):
            return {
                key: self.of(child, f"{field}.{key}" if field else key, depth + 1)
                for key, child in self._items(value, field)
            }
        if isinstance(value, list | tuple):
            return [
                self.of(child, f"{field}[{index}]", depth + 1) for index, child in enumerate(value)
            ]
        problem = _problem(value)
        if problem:
            raise self._error(field, problem)
        return value

    def _items(self, mapping: Mapping[Any, Any], field: str) -> Iterator[tuple[str, Any]]:
        for key, child in mapping.items():
            if not isinstance(key, str):
                raise self._error(field, "a key is no string: write it in quotes")
            problem = _problem(key)
            if problem:
                raise self._error(field, problem)
            yield key, child

    def _error(self, field: str, problem: str) -> JobSpecError:
        return JobSpecError(f"{self._where(field)}: {printable(field)}{field and ': '}{problem}")


def _problem(value: Any) -> str:
    """Say why JSON does not have the scalar; nothing where it does."""
    if value is None or isinstance(value, bool):
        return ""
    if isinstance(value, str):
        return "" if _is_unicode(value) else "half of a surrogate pair is no text"
    if isinstance(value, int):
        return "" if abs(value) < _LARGEST else "the number has too many digits"
    if isinstance(value, float):
        return "" if math.isfinite(value) else f"JSON has no number {value}"
    return f"JSON has no {type(value).__name__}"


def _is_unicode(text: str) -> bool:
    return text.isascii() or not any("\ud800" <= character <= "\udfff" for character in text)


def printable(name: str) -> str:
    """Return a name as one line of a message has it: keys may have any length and character."""
    shown = name if name.isprintable() else repr(name)
    return shown if len(shown) <= _LONGEST_NAME else f"{shown[:_LONGEST_NAME]}..."
