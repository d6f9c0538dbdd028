"""The source of a function that is to run where its module is not.

Pure: no Airflow, no Kubernetes client.
"""

from __future__ import annotations
import __future__

import ast
import builtins
import dis
import inspect
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import CodeType
from typing import Any

from flowjob.exceptions import FlowError

_WRAPPED = "if True:\n"


@dataclass(frozen=True)
class FunctionSource:
    """A function as text that defines it, with nothing around it.

    :param name: its name.
    :param text: its source, without the decorators that make a task of it.
    :param file: the name of its file, for tracebacks.
    :param first_line: the line of the file that the text begins at.
    """

    name: str
    text: str
    file: str
    first_line: int

    @classmethod
    def of(cls, function: Callable[..., Any]) -> FunctionSource:
        """Read a function's source, and check that it needs nothing of what is around it.

        :param function: what stands below the decorator that makes a task of it.
        :raises FlowError: it has no source of its own, or uses names of its module.
        """
        inner, decorators = _unwrapped(function)
        name = getattr(inner, "__name__", type(inner).__name__)
        try:
            lines, first_line = inspect.getsourcelines(inner)
        except (OSError, TypeError):
            raise _no_function(name) from None
        # A function in a block stays where it is: lines of its texts may begin further left.
        prefix = _WRAPPED if lines[0][:1].isspace() else ""
        definition = _definition("".join([prefix, *lines]), name)
        kept = definition.decorator_list[len(definition.decorator_list) - decorators :]
        begin = min([definition.lineno, *(decorator.lineno for decorator in kept)])
        begin -= 1 + len(prefix.splitlines())
        text = prefix + "".join(lines[begin:])
        if missing := sorted(set(_names_from_outside(text))):
            raise FlowError(
                f"the function {name!r} uses {missing[0]!r} of its module, and the flow container "
                "has the function alone: import or define it in the function, or hand it over as "
                "an argument"
            )
        file = os.path.basename(inner.__code__.co_filename)
        # Of the text, whose first line the prefix is where there is one.
        return cls(name, text, file, first_line + begin - len(prefix.splitlines()))


def _unwrapped(function: Any) -> tuple[Any, int]:
    """Return the function itself, and how many decorators of its own wrap it.

    Those make it known as ``__wrapped__`` (``functools.wraps``). All the others stand above, and
    are Airflow's.
    """
    count = 0
    while hasattr(function, "__wrapped__"):
        function, count = function.__wrapped__, count + 1
    return function, count


def _definition(text: str, name: str) -> ast.FunctionDef | ast.AsyncFunctionDef:
    """Return the one definition in a text, which may stand in a block."""
    try:
        (node,) = ast.parse(text).body
    except (SyntaxError, ValueError):
        raise _no_function(name) from None
    if isinstance(node, ast.If):
        node = node.body[0]
    if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or node.name != name:
        # Of a lambda it is what stands around it.
        raise _no_function(name)
    return node


def _no_function(name: str) -> FlowError:
    return FlowError(
        f"{name!r} has no source that could be sent to the flow container: write it as a function "
        "in the DAG file or in a module, with def"
    )


def _names_from_outside(text: str) -> Iterator[str]:
    """Yield the names that a function's definition, or a call of it, would look for in its module.

    Annotations are not looked at, as the container does not, either.
    """
    flags = __future__.annotations.compiler_flag
    waiting = [compile(text, "function", "exec", flags, dont_inherit=True)]
    defined: set[str] = set(dir(builtins))
    used: set[str] = set()
    while waiting:
        code = waiting.pop()
        waiting += [constant for constant in code.co_consts if isinstance(constant, CodeType)]
        for instruction in dis.get_instructions(code):
            kind, _, what = instruction.opname.partition("_")
            if kind in ("LOAD", "STORE") and what in ("GLOBAL", "NAME", "FROM_DICT_OR_GLOBALS"):
                (used if kind == "LOAD" else defined).add(str(instruction.argval))
    # Each module has its `__name__`, and others of the kind.
    yield from (name for name in used - defined if not name.startswith("__"))
