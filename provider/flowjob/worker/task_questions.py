"""Ask Airflow what became of a task, many tasks in one question.

For event loops in which thousands may want to know at once, such as a triggerer's when a backfill
is cancelled: a question takes 20 ms, one after the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from contextlib import suppress

from flowjob.cluster.airflow_thread import in_thread
from flowjob.flow_run import TaskInstanceKey
from flowjob.worker.task_states import TaskStates, portions, task_states

# Seconds in which those come together that ask at the same time.
_GATHERING = 0.05


class TaskQuestions:
    """Asks for all that wait in one event loop, one question at a time.

    :param answer: tells the states of some task instances; it is called in a thread.
    """

    def __init__(self, answer: Callable[[Iterable[TaskInstanceKey]], TaskStates]) -> None:
        self._answer = answer
        self._waiting: dict[TaskInstanceKey, asyncio.Future[TaskStates]] = {}
        self._asking: asyncio.Task[None] | None = None
        self._first: asyncio.Task[None] | None = None

    async def state_of(self, key: TaskInstanceKey) -> TaskStates:
        """Ask for the state of a task instance; the answer may hold those of others, too.

        :raises Exception: there is no answer.
        """
        future = self._waiting.setdefault(key, asyncio.get_running_loop().create_future())
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
        return await asyncio.shield(future)

    def ask_for_the_first_time(self, key: TaskInstanceKey) -> None:
        """Ask something, once, so that no kill has to wait for what the first question makes.

        A triggerer builds its own access to Airflow then: seconds of its processor.

        :param key: any task instance.
        """
        if self._first is None:
            self._first = asyncio.create_task(self._ask_and_forget(key))

    async def _ask_and_forget(self, key: TaskInstanceKey) -> None:
        # Who really wants to know asks again, and is told of the error.
        with suppress(Exception):
            await self.state_of(key)

    async def _ask(self) -> None:
        while self._waiting:
            await asyncio.sleep(_GATHERING)
            waiting, self._waiting = self._waiting, {}
            for portion in portions(waiting):
                futures = [waiting[key] for key in portion]
                try:
                    states = await in_thread(self._answer, portion)
                except Exception as error:
                    for future in futures:
                        future.set_exception(error)
                        # Who asked may be gone.
                        future.exception()
                else:
                    for future in futures:
                        future.set_result(states)


_by_loop: dict[asyncio.AbstractEventLoop, TaskQuestions] = {}


def task_questions() -> TaskQuestions:
    """Return the questions to Airflow of the running event loop."""
    loop = asyncio.get_running_loop()
    if loop not in _by_loop:
        for closed in [known for known in _by_loop if known.is_closed()]:
            del _by_loop[closed]
        _by_loop[loop] = TaskQuestions(task_states)
    return _by_loop[loop]
