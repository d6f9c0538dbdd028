"""A function of a DAG file as a flow: its source, and what runs of it in the flow container."""

from __future__ import annotations

import functools
import json
import re
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from flowjob.exceptions import FlowError
from flowjob.flows import FunctionFlow
from flowjob.flows.function_source import FunctionSource
from flowjob.flows.runner_text import program
from tests.unit.flows.test_flows import REQUEST, run_flow

if TYPE_CHECKING:
    from nowhere import Frame  # type: ignore[import-not-found]

Function = Callable[..., Any]


def task(function: Function) -> Function:
    """Stand for a decorator that makes a task of a function, as Airflow's do."""
    return function


def twice(function: Function) -> Function:
    import functools

    @functools.wraps(function)
    def both(*args: Any, **kwargs: Any) -> list[Any]:
        return [function(*args, **kwargs), function(*args, **kwargs)]

    return both


def calls(first: Any, /, second: Any = 2, *more: Any, third: Any = 3, **named: Any) -> Any:
    return [first, second, more, third, named]


def annotated(frame: Frame | None = None) -> Frame | None:
    import dataclasses

    @dataclasses.dataclass
    class Row:
        frame: Frame | None

    return dataclasses.asdict(Row(frame))


async def later(value: str) -> str:
    import asyncio

    await asyncio.sleep(0)
    return value


@task
def text() -> str:
    # Of a comment nothing is kept but its line.
    return """
# A heading, which is no comment.
left
"""


def raises() -> None:
    # One, two,
    raise ValueError("three lines down")


def uses_a_module() -> str:
    return json.dumps([1])


def uses_another_function() -> Any:
    return [text() for _ in range(2)]


def has_a_default(day: Any = json) -> Any:
    return day


@twice
def is_wrapped() -> int:
    return 1


def exits_with_its_own_code() -> None:
    import sys

    sys.exit(7)


def python(function: Function) -> FunctionFlow:
    return FunctionFlow(FunctionSource.of(function), python=sys.executable)


@pytest.mark.parametrize(
    ("function", "parameters", "result"),
    [
        (calls, {"first": 1}, [1, 2, [], 3, {}]),
        (
            calls,
            {"first": 1, "second": "$(HOME)", "more": [4, 5], "third": 6, "named": {"a": "é"}},
            [1, "$(HOME)", [4, 5], 6, {"a": "é"}],
        ),
        (annotated, {"frame": {"rows": 1}}, {"frame": {"rows": 1}}),
        (later, {"value": "later"}, "later"),
        (text, {}, "\n# A heading, which is no comment.\nleft\n"),
    ],
)
def test_a_function_runs_from_its_source_alone(
    tmp_path: Path, function: Function, parameters: dict[str, Any], result: Any
) -> None:
    code, message, error = run_flow(tmp_path, python(function), parameters)
    assert (code, error) == (0, "")
    assert json.loads(message) == result


def test_a_function_in_a_block_is_sent_as_it_stands(tmp_path: Path) -> None:
    @task
    def inner(day: str) -> list[str]:
        return [
            day,
            """
left""",
        ]

    code, message, _ = run_flow(tmp_path, python(inner), {"day": "2026-01-05"})
    assert (code, json.loads(message)) == (0, ["2026-01-05", "\nleft"])


def test_a_decorator_below_the_tasks_own_stays(tmp_path: Path) -> None:
    @task
    @functools.lru_cache
    def inner() -> int:
        return 1

    with pytest.raises(FlowError, match="'functools' of its module"):
        FunctionSource.of(inner)
    with pytest.raises(FlowError, match="'twice' of its module"):
        FunctionSource.of(is_wrapped)


def test_a_traceback_shows_the_lines_of_the_dag_file(tmp_path: Path) -> None:
    for function in (raises, nested()):
        code, message, error = run_flow(tmp_path, python(function), {})
        assert (code, message) == (1, "ValueError: three lines down")
        # The text of this very line is looked for below.
        found = re.search(r'File "test_function\.py", line (\d+), in \w+\n    (.*)\n', error)
        assert found
        line = Path(__file__).read_text().splitlines()[int(found[1]) - 1]
        assert line.strip() == found[2] == 'raise ValueError("three lines down")'


def nested() -> Function:
    @task
    @task
    def inner() -> None:
        raise ValueError("three lines down")

    return inner


def test_a_function_chooses_its_exit_code(tmp_path: Path) -> None:
    assert run_flow(tmp_path, python(exits_with_its_own_code), {})[0] == 7


def test_a_function_that_does_not_take_its_arguments_says_so(tmp_path: Path) -> None:
    code, message, _ = run_flow(tmp_path, python(later), {})
    assert (code, "missing 1 required positional argument: 'value'" in message) == (1, True)


@pytest.mark.parametrize(
    ("function", "name"),
    [(uses_a_module, "json"), (uses_another_function, "text"), (has_a_default, "json")],
)
def test_what_the_container_does_not_have_is_told_before_the_function_runs(
    function: Function, name: str
) -> None:
    with pytest.raises(FlowError, match=f"uses '{name}' of its module.*import or define it in the"):
        FunctionSource.of(function)


def test_a_value_around_a_function_is_told_of_as_well() -> None:
    day = "2026-01-05"

    def inner() -> str:
        return day

    with pytest.raises(FlowError, match="uses 'day'"):
        FunctionSource.of(inner)


@pytest.mark.parametrize("function", [lambda: 1, len, functools.partial(text), 1])
def test_what_has_no_source_is_refused(function: Any) -> None:
    with pytest.raises(FlowError, match="write it as a function in the DAG file"):
        FunctionSource.of(function)


def test_a_function_that_is_too_long_is_refused() -> None:
    source = FunctionSource("long", f'def long():\n    """{"x" * 2**17}"""', "dag.py", 1)
    with pytest.raises(FlowError, match="put it into the image"):
        FunctionFlow(source).command(REQUEST)


def test_a_functions_source_shows_in_no_text_of_the_flow() -> None:
    assert "heading" not in str(python(text))


def test_a_function_is_sent_as_python_that_needs_nothing_of_ours() -> None:
    runner = program("function_runner")
    compile(runner, "runner", "exec")
    assert "flowjob." not in re.sub(r"``.*?``", "", runner)
    assert runner.count('__name__ == "__main__"') == 1
    words = python(text).command(REQUEST).args
    assert words is not None
    assert textwrap.dedent(words[-1]).startswith("def text() -> str:\n")
