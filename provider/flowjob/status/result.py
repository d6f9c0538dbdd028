"""The flow's result, from the termination message of the flow container.

Pure: no Airflow, no Kubernetes client.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from flowjob.exceptions import ResultError
from flowjob.flows.runner import RESULT_ERROR
from flowjob.status.outcome import Outcome
from flowjob.text import not_stored, one_line

_REMEDY = "write it to storage and return a reference to it"
# Lists and mappings in one another. Airflow goes through them by functions that call themselves.
_DEEPEST = 100
# Keys by which Airflow knows what it has serialized itself; it takes no result that has one.
_RESERVED = {"__classname__", "__id__", "__version__", "__data__", "__type", "__var"}


def parse_result(outcome: Outcome) -> Any:
    """Read the flow's result from the flow container's termination message.

    Of an Indexed Job of several pods, it is the list of the results by index, None where there is
    none; of one whose success policy names an index, that index's.

    :param outcome: of a flow run that succeeded.
    :raises ResultError: it is not JSON, larger than the limit, or nothing that Airflow can store.
    """
    if outcome.indexed_messages is None:
        return _parse(outcome.termination_message, outcome.result_limit)
    return [_parse(message, outcome.result_limit) for message in outcome.indexed_messages]


def _parse(text: str, limit: int) -> Any:
    if text.startswith(RESULT_ERROR):
        raise _not_kept(one_line(text.removeprefix(RESULT_ERROR)))
    if not text.strip():
        return None
    if len(text.encode(errors="surrogatepass")) >= limit:
        # The kubelet keeps the end of a longer one without a word, and an end may be JSON too.
        raise ResultError(
            f"the flow succeeded, but its result has {limit} bytes or more, which is what "
            f"Kubernetes keeps of a termination message; {_REMEDY}"
        )
    if character := not_stored(text):
        raise _not_kept(f"Airflow cannot store the character {character}")
    try:
        result = json.loads(text, parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise ResultError(
            "the flow succeeded, but the termination message that it left is not JSON; write "
            "JSON to it, or set do_xcom_push=False on the task to have it ignored"
        ) from None
    for problem in _problems(result):
        raise _not_kept(f"Airflow cannot store {problem}")
    return result


def _not_kept(why: str) -> ResultError:
    return ResultError(f"the flow succeeded, but its result was not kept: {why}; {_REMEDY}")


def _refuse_constant(name: str) -> None:
    raise ValueError(name)


def _problems(result: Any) -> Iterator[str]:
    """Yield what of a result is JSON, and nothing for Airflow."""
    waiting = [(result, 0)]
    while waiting:
        value, depth = waiting.pop()
        if depth > _DEEPEST:
            yield f"more than {_DEEPEST} levels"
            return
        if isinstance(value, str) and (character := not_stored(value)):
            yield f"the character {character}"
        if isinstance(value, dict):
            yield from (f"the key {key!r}" for key in value if key in _RESERVED)
            waiting += [(key, depth) for key in value]
            waiting += [(child, depth + 1) for child in value.values()]
        if isinstance(value, list):
            waiting += [(child, depth + 1) for child in value]
