"""The lines of a flow's log, as they come into that of its task."""

from __future__ import annotations

from logging import INFO
from typing import Any

from flowjob.logs.levels import level_of
from flowjob.worker.context import masked


def show_line(log: Any, line: str) -> None:
    """Show a line of the flow's with the level that it names, and its secrets masked.

    None is left out for calling itself unimportant: where Airflow's log takes no lines of its
    level, it is one of INFO.

    :param log: the task's log.
    :param line: as the flow wrote it, also with its container's name before it.
    """
    level = level_of(line)
    if level == INFO or not log.isEnabledFor(level):
        log.info("%s", masked(line))
    else:
        log.log(level, "%s", masked(line))
