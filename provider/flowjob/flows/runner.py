"""What a ``PythonFlow`` runs in the flow container: ``python3 -u -c <this file> module:callable``.

It is sent as text to images that know nothing of this package, so it needs Python's standard
library alone (3.7 and later). Other runners stand below it and use what it has.
"""

from __future__ import annotations

import asyncio
import importlib
import inspect
import json
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

RESULT_ERROR = "flowjob result error: "


class FlowFailed(Exception):
    """The flow failed, and the message is all that there is to tell of it."""


def load(name: str) -> Any:
    """Import the callable that ``package.module:callable`` names."""
    module_name, _, attribute_path = name.partition(":")
    target = importlib.import_module(module_name)
    for attribute in attribute_path.split("."):
        target = getattr(target, attribute)
    return target


def write_message(text: bytes) -> None:
    """Leave ``text`` where the kubelet collects the container's termination message."""
    with open(os.environ["FLOW_RESULT_PATH"], "wb") as file:
        file.write(text)


def result_message(result: Any, limit: int) -> bytes:
    """Encode the flow's return value, or say why that cannot be done.

    The flow has done its work by now: a bad result must not make Kubernetes run it again, so it
    is told in the message and not by the exit code.
    """
    try:
        text = json.dumps(result, ensure_ascii=False, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        return f"{RESULT_ERROR}it is not JSON ({error})".encode(errors="replace")[: limit - 1]
    if len(text) >= limit:
        return f"{RESULT_ERROR}it has {len(text)} bytes and {limit - 1} fit".encode()
    return text


def run_under_init() -> None:
    """As the container's first process, leave the flow to a child; return in that child alone.

    The kernel keeps from a first process the signals that it has no handler for, and gives it the
    orphans of all others, whose ends it has to take note of: Python does neither.
    """
    child = os.fork()
    if child == 0:
        return
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        signal.signal(number, lambda number, frame: os.kill(child, number))
    while True:
        ended, status = os.wait()
        if ended == child:
            killed = os.WIFSIGNALED(status)
            os._exit(128 + os.WTERMSIG(status) if killed else os.WEXITSTATUS(status))


def end_on_sigterm() -> None:
    """Have the flow end when the cluster asks it to, with its ``finally`` blocks."""

    def end(number: int, frame: Any) -> None:
        raise SystemExit(128 + number)

    if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
        signal.signal(signal.SIGTERM, end)


def told(error: BaseException) -> str:
    """Tell an error by its type and its message."""
    return f"{type(error).__name__}: {error}"


def finished(value: Any) -> Any:
    """Return what a call has returned; of an asynchronous one, what it returns at its end."""
    return asyncio.run(value) if inspect.iscoroutine(value) else value


def call(name: str, parameters: dict[str, Any]) -> Any:
    """Call the callable that ``package.module:callable`` names."""
    return finished(load(name)(**parameters))


def main(run: Callable[[str, dict[str, Any]], Any]) -> None:
    """Run a flow with its parameters.

    :param run: is called with the flow's name and its parameters, and returns the flow run's
        result.
    """
    if os.getpid() == 1:
        run_under_init()
    end_on_sigterm()
    limit = int(os.environ["FLOW_RESULT_LIMIT"])
    try:
        result = run(sys.argv[1], json.loads(os.environ["FLOW_PARAMETERS"]))
    except Exception as error:
        is_told = isinstance(error, FlowFailed)
        message = str(error) if is_told else told(error)
        write_message(message.encode(errors="replace")[: limit - 1])
        if is_told:
            sys.exit(message)
        raise
    if result is not None:
        write_message(result_message(result, limit))


if __name__ == "__main__":
    main(call)
