"""The text of what is run in a flow container that knows nothing of this package."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path

_OWN_IMPORT = re.compile(r"^from flowjob\.\S+ import (\([^)]*\)|.*)\n", re.MULTILINE)
_MAIN = re.compile(r'^if __name__ == "__main__":\n.*', re.MULTILINE | re.DOTALL)


@cache
def program(name: str = "runner") -> str:
    """Return the text of a runner, after that of ``flowjob.flows.runner``, which others build on.

    :param name: a module of this room, with standard library imports alone.
    """
    base = _source("runner")
    if name == "runner":
        return base
    return _MAIN.sub("", base) + _OWN_IMPORT.sub("", _source(name))


def _source(name: str) -> str:
    return Path(__file__).with_name(f"{name}.py").read_text(encoding="utf-8")
