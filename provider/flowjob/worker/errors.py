"""How errors of this package are told to Airflow, and shown in the task's log."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self

from flowjob.exceptions import FlowJobError, FlowRunFailedError
from flowjob.worker.context import airflow_exception, masked

log = logging.getLogger(__name__)

# Airflow's exceptions of which the sentence says it all, too.
_TOLD = ("AirflowFailException", "AirflowTaskTimeout")


@contextmanager
def errors_told(log: Any) -> Iterator[None]:
    """Show an error of this package as a line of its own, and tell Airflow if no retry can heal it.

    Airflow shows the error below it, among the frames of its traceback.

    :param log: the task's log.
    :raises AirflowFailException: in place of an error that no retry can heal.
    """
    try:
        yield
    except FlowJobError as error:
        # How a flow run failed is shown already, fact by fact.
        if not isinstance(error, FlowRunFailedError):
            log.error("%s", masked(str(error)))
        if error.heals_by_retry:
            raise
        raise airflow_exception("AirflowFailException")(masked(str(error))) from None


class WithoutFrames:
    """Cuts the frames below it off errors that say all there is to say.

    A flow that failed is no error of ours, and the way to where that was seen helps nobody: Airflow
    shows what is left, which are its own frames. It is a class, as what ``contextlib`` makes of a
    function puts the frames back.
    """

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error is not None and isinstance(error, (FlowJobError, *map(airflow_exception, _TOLD))):
            # For who works on this package: it is in the log of an Airflow whose level is DEBUG.
            log.debug("The error was raised here", exc_info=error)
            error.__traceback__ = error.__cause__ = None
