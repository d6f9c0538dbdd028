"""The bench's results as Markdown: pure, so that the documentation's are those that were kept."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from tests.bench.contenders import ALL
from tests.bench.goals import verdicts
from tests.bench.result import KeptRow, Measure, RowResult, Setting

NOT_YET = "No whole run of `make bench` is kept here yet.\n"
PLOT = "side_by_side.svg"
# Seconds of a minute.
_MINUTE = 60


def page(rows: Sequence[tuple[str, KeptRow]]) -> str:
    """Return what the documentation includes: setting, ratios, and a table for each row.

    :param rows: each with its title, in their order; none: what stands there before the first run.
    """
    if not rows:
        return NOT_YET
    minutes = sum(kept.seconds for _, kept in rows) / _MINUTE
    parts = [
        setting(rows[0][1].setting) + f" The rows took {minutes:.0f} minutes.",
        f"```{{image}} bench/{PLOT}\n:alt: The ratios of the table below as bars.\n```",
        "## Ratios\n\n" + ratios([measure for _, kept in rows for measure in kept.result.measures]),
        *(f"## {title}\n\n{table(kept.result)}" for title, kept in rows),
    ]
    return "\n\n".join(parts) + "\n"


def setting(where: Setting) -> str:
    """Return a sentence on when and where it was measured."""
    versions = ", ".join(f"{name} {version}" for name, version in where.versions.items())
    trial = " **A trial of few samples.**" if where.is_quick else ""
    return f"Measured on {where.date} on {where.machine}, with {versions}.{trial}"


def table(result: RowResult) -> str:
    """Return a table of the medians, each with its least and its greatest sample."""
    names = [c.name for c in ALL if any(c.name in m.samples for m in result.measures)]
    has_floor = any(measure.floor for measure in result.measures)
    head = ["", *(["floor"] if has_floor else []), *(f"`{name}`" for name in names)]
    lines = [_line(head), _line(["---"] * len(head))]
    for measure in result.measures:
        cells = [f"{measure.name} ({measure.unit})"]
        if has_floor:
            cells.append(cell(measure.floor))
        lines.append(_line([*cells, *(cell(measure.samples.get(name, ())) for name in names)]))
    return "\n".join([*lines, *(f"\n{note}" for note in result.notes)])


def ratios(measures: Sequence[Measure]) -> str:
    """Return a table of ours over the best peer's; nothing where nobody else was measured."""
    head = ["", "ours", "the best peer", "ratio", "beyond the floor", "aim", ""]
    lines = []
    for measure in measures:
        for found in verdicts(measure):
            own = "" if found.own_ratio is None else f"{found.own_ratio:.2f}"
            cells = [found.measure, f"`{found.ours}`", f"`{found.peer}`", f"**{found.ratio:.2f}**"]
            lines.append(_line([*cells, own, f"{found.limit:.1f}", found.state]))
    return "\n".join([_line(head), _line(["---"] * len(head)), *lines]) if lines else ""


def cell(samples: Sequence[float]) -> str:
    """Return the median, and the range where there are several."""
    if not samples:
        return ""
    middle = number(statistics.median(samples))
    least, most = number(min(samples)), number(max(samples))
    return middle if least == most else f"{middle} ({least} to {most})"


def number(value: float) -> str:
    """Return it with as many digits as say something."""
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
