"""What the operator's ``container_overrides`` make of the job spec's first container.

Pure: no Airflow, no Kubernetes client.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flowjob.exceptions import JobSpecError

# Fields that a flow run sets, and where their values belong.
_TAKEN = {
    "name": "it stays as the job spec has it",
    "image": "give the task an image",
    "command": "give the task a flow",
    "args": "give the task a flow",
    "env": "give the task an env",
}


def check_overrides(overrides: Any) -> None:
    """Check that they leave alone what a flow run sets.

    :param overrides: fields of the first container.
    :raises JobSpecError: they do not, or are no mapping; the message repeats no value.
    """
    if not isinstance(overrides, Mapping):
        raise JobSpecError(
            f"container_overrides is a {type(overrides).__name__}: give a mapping of fields of the "
            "first container, such as resources"
        )
    for field in overrides:
        if field in _TAKEN:
            raise JobSpecError(f"container_overrides has the field {field!r}: {_TAKEN[field]}")


def merged(value: Any, overrides: Any) -> Any:
    """Return a value with others in their places, as a JSON merge patch has it (RFC 7396).

    Mappings are merged, at any depth; all else, lists too, is replaced, and None removes a field.

    :param value: a field of the spec, which is not changed.
    :param overrides: what is to be in its place.
    """
    if not isinstance(overrides, Mapping):
        return overrides
    result = dict(value) if isinstance(value, Mapping) else {}
    for field, child in overrides.items():
        if child is None:
            result.pop(field, None)
        else:
            result[field] = merged(result.get(field), child)
    return result
