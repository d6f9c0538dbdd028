"""``PythonFlow``: a Python callable in the image."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import ClassVar

from flowjob.exceptions import FlowError
from flowjob.flows.base import Flow, FlowCommand, FlowRequest, escape
from flowjob.flows.runner_text import program

_NAME = r"[^\W\d]\w*"
_CALLABLE = re.compile(rf"{_NAME}(\.{_NAME})*:{_NAME}(\.{_NAME})*")


def is_callable_name(name: str) -> bool:
    """Tell whether a name is ``package.module:callable``, or of another object in a module."""
    return _CALLABLE.fullmatch(name) is not None


@dataclass
class PythonFlow(Flow):
    """A Python callable; the image needs Python and nothing of ours.

    The operator's ``parameters`` are its keyword arguments, its JSON return value is the result.

    :param callable: ``package.module:callable``, importable in the image.
    :param python: the interpreter in the image, a name on its PATH or an absolute path.
    """

    callable: str
    python: str = "python3"

    template_fields: ClassVar[tuple[str, ...]] = ("callable", "python")

    def command(self, request: FlowRequest) -> FlowCommand:
        """Run the runner's text, so that nothing has to be installed in the image.

        :raises FlowError: the callable's name is not ``package.module:callable``.
        """
        if not is_callable_name(self.callable):
            raise FlowError(
                f"flow {self.callable!r} is no Python callable: write it as "
                '"package.module:callable", or a command as a list ["command", "argument"]'
            )
        # -u: a line that the flow prints is in the log when it is printed.
        return FlowCommand(
            command=[escape(self.python), "-u", "-c", escape(program())],
            args=[self.callable],
        )
