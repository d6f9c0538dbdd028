"""Runs of several scenes, one after the other and in turns, and what is told of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from tests.bench.accounts import said
from tests.bench.contenders import NOTHING, Scene
from tests.bench.processes import used_by
from tests.bench.result import Measure
from tests.bench.stage import Stage

Samples = dict[str, tuple[float, ...]]


class Interleaved:
    """Runs each scene once a round, each round beginning with another one.

    What the machine does besides, and what one run leaves for the next, is spread over all.

    :param floor: whether to measure, each round, what Airflow and Kubernetes take by themselves: a
        task that does nothing, and a Job without Airflow.
    """

    def __init__(self, stage: Stage, scenes: Sequence[Scene], rounds: int, *, floor: bool) -> None:
        self._stage, self._scenes, self._rounds = stage, scenes, rounds
        self._mark = stage.accounts.position()
        self._seconds: dict[Scene, list[float]] = defaultdict(list)
        self._cpu: dict[Scene, list[float]] = defaultdict(list)
        self.floor: list[float] = []
        for number in range(rounds):
            turn = number % len(scenes)
            for scene in (*scenes[turn:], *scenes[:turn]):
                self._run(scene)
            if floor:
                airflow = stage.run(NOTHING)
                self.floor.append(airflow.seconds + stage.bare_job())

    def _run(self, scene: Scene) -> None:
        with used_by(self._stage.sessions) as used:
            ended = self._stage.run(scene.dag_id)
        wanted = "failed" if scene.flow == "failing" else "success"
        assert ended.state == wanted, f"a run of {scene.dag_id} is {ended.state}"
        self._seconds[scene].append(ended.seconds)
        self._cpu[scene].append(used.cpu)

    def seconds(self, name: str, scenes: Sequence[Scene]) -> Measure:
        """Return the seconds from trigger to end."""
        return Measure(name, "s", _by_name(scenes, self._seconds), floor=tuple(self.floor))

    def cpu(self, name: str, scenes: Sequence[Scene]) -> Measure:
        """Return what Airflow's programs have used meanwhile, their idling included."""
        return Measure(name, "s of CPU", _by_name(scenes, self._cpu))

    def requests(self, name: str, scenes: Sequence[Scene], at_most: float | None) -> Measure:
        """Return the API requests of a run."""
        return requests(self._stage, name, scenes, self._rounds, self._mark, at_most)

    def verbs(self, scenes: Sequence[Scene]) -> tuple[str, ...]:
        """Say what was asked for."""
        return verbs(self._stage, scenes, self._rounds, self._mark)


def requests(
    stage: Stage, name: str, scenes: Sequence[Scene], runs: int, since: int, at_most: float | None
) -> Measure:
    """Return the API requests of a run, on the average of all."""
    found = {
        scene.contender.name: (stage.accounts.requests(scene.account, since).total() / runs,)
        for scene in scenes
    }
    return Measure(name, "requests", found, at_most=at_most)


def verbs(stage: Stage, scenes: Sequence[Scene], runs: int, since: int) -> tuple[str, ...]:
    """Say what was asked for, a run, a line for each scene."""
    return tuple(
        f"`{scene.contender.name}`, {scene.mode}: "
        f"{said(stage.accounts.requests(scene.account, since), runs)}."
        for scene in scenes
    )


def _by_name(scenes: Sequence[Scene], samples: dict[Scene, list[float]]) -> Samples:
    return {scene.contender.name: tuple(samples[scene]) for scene in scenes}
