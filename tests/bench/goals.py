"""Ratios of ours to the best of the others, and whether they reach what is aimed at.

Ours is to take at most half of the best peer's seconds where that one works for more than a second
of its own, beyond what Airflow and Kubernetes take by themselves; and never more than it.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from tests.bench.contenders import BY_NAME
from tests.bench.result import Measure

# Of the best peer's.
HALF, NO_MORE = 0.5, 1.0
# Seconds of a peer's own work from which half is aimed at.
OWN_SECONDS = 1.0

State = Literal["met", "at the floor", "missed"]


@dataclass(frozen=True)
class Verdict:
    """How one measure of ours stands to the best of its peers.

    :param ratio: of the medians; less than 1 is better for ours, whatever is measured.
    :param own_ratio: the same beyond the floor; None where none is known, or the peer is at it.
    :param limit: what the ratio is to be at most.
    :param state: `at the floor`: the floor alone is more than the limit lets, and of what is beyond
        it ours takes no more than that part of the peer's.
    """

    measure: str
    ours: str
    peer: str
    ratio: float
    own_ratio: float | None
    limit: float
    state: State


def verdicts(measure: Measure) -> list[Verdict]:
    """Return one for each contender of ours that has a peer in the measure."""
    medians = {name: statistics.median(values) for name, values in measure.samples.items()}
    found = []
    for name in medians:
        if not BY_NAME[name].is_ours:
            continue
        peers = {peer: median for peer, median in medians.items() if _are_peers(name, peer)}
        if peers:
            best = (min if measure.better == "less" else max)(peers, key=lambda peer: peers[peer])
            found.append(_verdict(measure, name, medians[name], best, peers[best]))
    return found


def misses(measures: Iterable[Measure]) -> list[str]:
    """Return a sentence for each goal that is missed."""
    said = []
    for measure in measures:
        said += [
            f"{measure.name}: {verdict.ours} has {verdict.ratio:.2f} of {verdict.peer}'s, and is "
            f"to have at most {verdict.limit:.1f}"
            for verdict in verdicts(measure)
            if verdict.state == "missed"
        ]
        if measure.at_most is not None:
            said += [
                f"{measure.name}: {name} has {statistics.median(values):.1f} {measure.unit}, and "
                f"is to have at most {measure.at_most:g}"
                for name, values in measure.samples.items()
                if BY_NAME[name].is_ours and statistics.median(values) > measure.at_most
            ]
    return said


def _are_peers(ours: str, other: str) -> bool:
    mine, its = BY_NAME[ours], BY_NAME[other]
    return not its.is_ours and its.is_function == mine.is_function


def _verdict(measure: Measure, name: str, ours: float, peer: str, theirs: float) -> Verdict:
    ratio = _ratio(ours, theirs) if measure.better == "less" else _ratio(theirs, ours)
    floor = statistics.median(measure.floor) if measure.floor else 0.0
    own_ratio = None
    if measure.floor and theirs > floor:
        own_ratio = _ratio(max(ours - floor, 0.0), theirs - floor)
    has_own_work = measure.unit == "s" and theirs - floor > OWN_SECONDS
    limit = HALF if has_own_work else NO_MORE
    state: State = "met" if ratio <= limit else "missed"
    if state == "missed" and own_ratio is not None and own_ratio <= limit < NO_MORE:
        state = "at the floor"
    return Verdict(measure.name, name, peer, ratio, own_ratio, limit, state)


def _ratio(mine: float, theirs: float) -> float:
    if theirs <= 0:
        return 1.0 if mine <= 0 else float("inf")
    return mine / theirs
