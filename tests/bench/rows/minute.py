"""A flow of a minute, in both modes: what waiting costs, in seconds, requests and memory."""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass

from tests.bench.contenders import LONG_SECONDS, MINUTES, NOTHING, Scene
from tests.bench.processes import unique_memory
from tests.bench.result import Measure, RowResult
from tests.bench.row import Row, Size
from tests.bench.rows.interleaved import requests, verbs
from tests.bench.rows.no_op import REQUESTS
from tests.bench.stage import Stage

# Seconds: after the trigger a worker waits by then; and until which a run is to end.
_WAITS_BY, _PATIENCE = 35.0, 240.0
_POLL = 0.25


@dataclass
class Run:
    """A run that goes on."""

    scene: Scene
    run_id: str
    begun: float
    is_weighed: bool = False


class Minutes:
    """Runs of a minute each, started one after the other and going on beside each other.

    :param gap: seconds from one start to the next.
    """

    def __init__(self, stage: Stage, rounds: int, gap: float) -> None:
        self._stage = stage
        self.seconds: dict[Scene, list[float]] = defaultdict(list)
        self.memory: dict[Scene, list[float]] = defaultdict(list)
        self._going_on: list[Run] = []
        to_start = []
        for number in range(rounds):
            turn = number % len(MINUTES)
            to_start += [*MINUTES[turn:], *MINUTES[:turn]]
        next_start = time.monotonic()
        while to_start or self._going_on:
            if to_start and time.monotonic() >= next_start:
                scene = to_start.pop(0)
                run = Run(scene, stage.trigger(scene.dag_id), time.monotonic())
                self._going_on.append(run)
                next_start += gap
            self._look()
            time.sleep(_POLL)

    def _look(self) -> None:
        for run in list(self._going_on):
            waited = time.monotonic() - run.begun
            if not run.scene.deferrable and not run.is_weighed and waited >= _WAITS_BY:
                run.is_weighed = True
                process = self._stage.task_process(run.scene.dag_id, run.run_id)
                memory = None if process is None else unique_memory(process)
                if memory is not None:
                    self.memory[run.scene].append(memory)
            ended = self._stage.ended(run.scene.dag_id, run.run_id)
            if ended is not None:
                assert ended.state == "success", f"a run of {run.scene.dag_id} is {ended.state}"
                self.seconds[run.scene].append(ended.seconds)
                self._going_on.remove(run)
            assert waited < _PATIENCE, f"a run of {run.scene.dag_id} does not end"


def run(stage: Stage, size: Size) -> RowResult:
    """Run all; those of a minute spend most of it waiting, so they do that beside each other."""
    floor = tuple(
        LONG_SECONDS + stage.run(NOTHING).seconds + stage.bare_job() for _ in range(size.few_rounds)
    )
    mark = stage.accounts.position()
    minutes = Minutes(stage, size.rounds, size.gap)

    def by_name(scenes: list[Scene], of: dict[Scene, list[float]]) -> dict[str, tuple[float, ...]]:
        return {scene.contender.name: tuple(of[scene]) for scene in scenes}

    worker = [scene for scene in MINUTES if not scene.deferrable]
    deferrable = [scene for scene in MINUTES if scene.deferrable]
    return RowResult(
        (
            Measure(
                "60 s, worker: trigger to success", "s", by_name(worker, minutes.seconds), floor
            ),
            Measure(
                "60 s, deferrable: trigger to success",
                "s",
                by_name(deferrable, minutes.seconds),
                floor,
            ),
            requests(stage, "60 s, worker: API requests", worker, size.rounds, mark, REQUESTS),
            requests(
                stage, "60 s, deferrable: API requests", deferrable, size.rounds, mark, REQUESTS
            ),
            Measure(
                "own memory of a worker that waits (USS)", "MiB", by_name(worker, minutes.memory)
            ),
        ),
        verbs(stage, MINUTES, size.rounds, mark),
    )


ROW = Row("minute", "A flow of a minute", minutes=8, run_on_stage=run)
