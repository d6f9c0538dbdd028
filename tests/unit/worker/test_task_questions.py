"""Thousands who want to know at once ask together."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from flowjob.flow_run import TaskInstanceKey
from flowjob.worker.task_questions import TaskQuestions
from flowjob.worker.task_states import TaskStates, portions

KEYS = [TaskInstanceKey("dag", f"run {number}", "task") for number in range(5000)]


class Answers:
    """Tells each task instance as running, and remembers what was asked."""

    def __init__(self) -> None:
        self.asked: list[list[TaskInstanceKey]] = []

    def __call__(self, keys: Iterable[TaskInstanceKey]) -> TaskStates:
        self.asked.append(list(keys))
        return dict.fromkeys(self.asked[-1], "running")


def test_five_thousand_triggers_that_end_at_once_ask_a_hundred_questions() -> None:
    answers = Answers()

    async def ask() -> list[TaskStates]:
        questions = TaskQuestions(answers)
        return await asyncio.gather(*(questions.state_of(key) for key in KEYS))

    told = asyncio.run(ask())
    assert [states[key] for key, states in zip(KEYS, told, strict=True)] == ["running"] * 5000
    assert len(answers.asked) == 100


def test_a_question_without_an_answer_is_told_to_each_who_asked_and_to_nobody_else() -> None:
    def answer(keys: Iterable[TaskInstanceKey]) -> TaskStates:
        if KEYS[0] in keys:
            raise ConnectionError("away")
        return dict.fromkeys(keys, "failed")

    other = TaskInstanceKey("other dag", "run", "task")

    async def ask() -> list[TaskStates | BaseException]:
        questions = TaskQuestions(answer)
        asked = (questions.state_of(key) for key in (KEYS[0], KEYS[1], other))
        return await asyncio.gather(*asked, return_exceptions=True)

    first, second, third = asyncio.run(ask())
    assert isinstance(first, ConnectionError)
    assert isinstance(second, ConnectionError)
    assert third == {other: "failed"}


def test_one_who_is_cancelled_while_it_asks_leaves_the_others_their_answers() -> None:
    async def ask() -> TaskStates:
        questions = TaskQuestions(Answers())
        cancelled = asyncio.create_task(questions.state_of(KEYS[0]))
        other = asyncio.create_task(questions.state_of(KEYS[1]))
        await asyncio.sleep(0)
        cancelled.cancel()
        return await other

    assert asyncio.run(ask())[KEYS[1]] == "running"


def test_the_first_question_is_asked_once() -> None:
    answers = Answers()

    async def start() -> None:
        questions = TaskQuestions(answers)
        for key in KEYS[:10]:
            questions.ask_for_the_first_time(key)
        await questions.state_of(KEYS[0])

    asyncio.run(start())
    assert answers.asked == [[KEYS[0]]]


def test_no_question_names_more_tasks_than_an_address_holds() -> None:
    mixed = [*KEYS[:120], *(TaskInstanceKey("mapped", "run", "task", index) for index in range(3))]
    assert [len(portion) for portion in portions(mixed)] == [50, 50, 20, 1, 1, 1]
