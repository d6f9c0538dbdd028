"""Find Jinja in a job spec, which is not rendered.

Pure: no Airflow, no Kubernetes client.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def has_jinja(text: str) -> bool:
    """Tell whether Airflow would find something to render in a text."""
    return "{{" in text or "{%" in text


def jinja_fields(value: Any, field: str = "") -> Iterator[str]:
    """Yield the fields whose text has Jinja, such as ``spec.containers[0].args[1]``.

    :param value: a manifest, or a part of one.
    :param field: the part's place.
    """
    if isinstance(value, str) and has_jinja(value):
        yield field
    if isinstance(value, dict):
        for key, child in value.items():
            yield from jinja_fields(child, f"{field}.{key}".removeprefix("."))
    if isinstance(value, list):
        for index, child in enumerate(value):
            yield from jinja_fields(child, f"{field}[{index}]")
