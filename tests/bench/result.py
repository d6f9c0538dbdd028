"""What a row of the bench has measured, as it is kept: JSON, and back."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Measure:
    """One thing that was measured of each contender.

    :param name: as it is shown, in a few words.
    :param unit: of the samples: `s`, `requests`, `bytes`, `MiB`, ...
    :param samples: of each contender, by its name.
    :param floor: samples of what Airflow and Kubernetes take by themselves; empty where there is
        no such thing, or where it was taken off already.
    :param better: whether less of it is better, or more.
    :param at_most: a goal of its own for ours, whatever the others need.
    """

    name: str
    unit: str
    samples: Mapping[str, tuple[float, ...]]
    floor: tuple[float, ...] = ()
    better: Literal["less", "more"] = "less"
    at_most: float | None = None


@dataclass(frozen=True)
class RowResult:
    """What one row has measured.

    :param notes: what else is to be told, a line of Markdown each.
    """

    measures: tuple[Measure, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Setting:
    """Where and when it was measured.

    :param is_quick: whether this was a trial of few samples, which is not for the documentation.
    """

    date: str
    machine: str
    versions: Mapping[str, str]
    is_quick: bool


@dataclass(frozen=True)
class KeptRow:
    """A row's result as it is kept, with the seconds that it took."""

    row: str
    setting: Setting
    seconds: float
    result: RowResult


def to_json(kept: KeptRow) -> str:
    """Return it as it is kept."""
    return json.dumps(asdict(kept), indent=1) + "\n"


def from_json(text: str) -> KeptRow:
    """Return what `to_json` has made text of."""
    found: dict[str, Any] = json.loads(text)
    measures = tuple(
        Measure(
            **measure
            | {
                "samples": {name: tuple(values) for name, values in measure["samples"].items()},
                "floor": tuple(measure["floor"]),
            }
        )
        for measure in found["result"]["measures"]
    )
    result = RowResult(measures, tuple(found["result"]["notes"]))
    return KeptRow(found["row"], Setting(**found["setting"]), found["seconds"], result)
