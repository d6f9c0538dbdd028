"""What a soak does and when: all of its randomness, from one seed.

Pure: the same seed and duration give the same plan. Whom an action hits depends on what there is at
its time; `pick`, from 0 to 1, chooses among that.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

from tests.soak.kinds import KINDS, Kind

T = TypeVar("T")

# The mean seconds between two of them.
_START_GAP, _MEDDLE_GAP, _KILL_GAP = 4.0, 7.0, 12.0
_FEWEST_TICKS, _MOST_TICKS = 2, 50

# What users do to a task instance or its run, and how often in comparison.
MEDDLES = {
    "mark success": 2,
    "mark failed": 2,
    "clear": 4,
    "clear ended": 3,
    "mark run success": 1,
    "mark run failed": 1,
    "delete run": 2,
    "delete and create run": 2,
}
TASK, SUPERVISOR = "task", "supervisor"
SCHEDULER, SCHEDULER_ALONE = "scheduler and its workers", "scheduler, not its workers"
TRIGGERER, AIRFLOW_API = "triggerer", "Airflow's API server"
KUBE_API = "kube-apiserver"
KILLS = {
    TASK: 6,
    SUPERVISOR: 3,
    SCHEDULER: 1,
    SCHEDULER_ALONE: 1,
    TRIGGERER: 2,
    AIRFLOW_API: 1,
    KUBE_API: 2,
}
# The most seconds that they stay away.
_LONGEST_AWAY = 15.0


@dataclass(frozen=True)
class Start:
    """Start a flow run.

    :param at: seconds after the soak's begin, as in the others.
    :param ticks: how long it takes, in half seconds.
    """

    at: float
    number: int
    kind: Kind
    deferrable: bool
    ticks: int


@dataclass(frozen=True)
class Meddle:
    """Do one of MEDDLES."""

    at: float
    what: str
    pick: float


@dataclass(frozen=True)
class Kill:
    """Kill one of KILLS, and start it again after `away` seconds."""

    at: float
    what: str
    pick: float
    away: float


@dataclass(frozen=True)
class Plan:
    """:param deeds: what users do."""

    deeds: Sequence[Start | Meddle]
    kills: Sequence[Kill]


def make_plan(seed: int, seconds: float) -> Plan:
    chance = random.Random(seed)
    starts = [
        Start(
            at,
            number,
            chance.choice(KINDS),
            deferrable=chance.random() < 0.5,
            ticks=chance.randint(_FEWEST_TICKS, _MOST_TICKS),
        )
        for number, at in enumerate(_times(chance, seconds, _START_GAP))
    ]
    meddles = [
        Meddle(at, _one_of(chance, MEDDLES), chance.random())
        for at in _times(chance, seconds, _MEDDLE_GAP)
    ]
    kills = [
        Kill(at, _one_of(chance, KILLS), chance.random(), chance.uniform(0, _LONGEST_AWAY))
        for at in _times(chance, seconds, _KILL_GAP)
    ]
    return Plan(sorted([*starts, *meddles], key=lambda deed: deed.at), kills)


def choose(pick: float, candidates: Sequence[T]) -> T:
    return candidates[int(pick * len(candidates))]


def _times(chance: random.Random, seconds: float, gap: float) -> list[float]:
    times = []
    at = chance.expovariate(1 / gap)
    while at < seconds:
        times.append(at)
        at += chance.expovariate(1 / gap)
    return times


def _one_of(chance: random.Random, weights: dict[str, int]) -> str:
    return chance.choices(list(weights), list(weights.values()))[0]
