"""What a ``FunctionFlow`` runs in the flow container: the source of a function, as text.

It is sent after the text of ``flowjob.flows.runner``, so it needs Python's standard library alone
(3.7 and later).
"""

import __future__

import ast
import inspect
import linecache
import sys
import traceback
import types
from typing import Any

from flowjob.flows.runner import finished, main

# What the function's module is called in the container; no package of the image is named so.
MODULE = "flowjob_function"


def load_function(name: str, file: str, first_line: int, source: str) -> Any:
    """Define a function as if its file was there, so that a traceback shows its lines."""
    tree = ast.increment_lineno(ast.parse(source), first_line - 1)
    lines = ["\n"] * (first_line - 1) + source.splitlines(keepends=True)
    linecache.cache[file] = (len(source), None, lines, file)
    # Python's own looks for the file itself, up to 3.12.
    sys.excepthook = traceback.print_exception
    module = types.ModuleType(MODULE)
    # Where a class that the function defines is looked for.
    sys.modules[MODULE] = module
    # Annotations are of use to readers alone, and may name what the image does not have.
    flags = __future__.annotations.compiler_flag
    exec(compile(tree, file, "exec", flags, dont_inherit=True), module.__dict__)  # noqa: S102
    return getattr(module, name)


def call_function(name: str, parameters: dict[str, Any]) -> Any:
    """Call the function with its arguments by name; those of ``*`` are a list, of ``**`` a dict."""
    file, first_line, source = sys.argv[2:]
    function = load_function(name, file, int(first_line), source)
    signature = inspect.signature(function)
    arguments: Any = parameters
    bound = inspect.BoundArguments(signature, arguments)
    return finished(function(*bound.args, **bound.kwargs))


if __name__ == "__main__":
    main(call_function)
