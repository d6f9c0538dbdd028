"""``FunctionFlow``: a Python function of a DAG file, of which the image has nothing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar

from flowjob.exceptions import FlowError
from flowjob.flows.base import Flow, FlowCommand, FlowRequest, escape
from flowjob.flows.function_source import FunctionSource
from flowjob.flows.runner_text import program

# Linux' limit for one argument of a program, 128 KiB, less the byte that ends it.
_LONGEST_SOURCE = 2**17 - 1


@dataclass
class FunctionFlow(Flow):
    """A Python function, sent as source; the image needs Python and nothing of ours.

    The operator's ``parameters`` are its arguments by name, its JSON return value is the result.

    :param function: its source.
    :param python: the interpreter in the image, a name on its PATH or an absolute path.
    """

    # It is in the DAG file, which Airflow stores, and need not be stored with each task instance.
    function: FunctionSource = field(repr=False)
    python: str = "python3"

    template_fields: ClassVar[tuple[str, ...]] = ("python",)

    def command(self, request: FlowRequest) -> FlowCommand:
        """Run the runner's text, with that of the function.

        :raises FlowError: the function is too long to be sent.
        """
        function = self.function
        size = len(function.text.encode())
        if size > _LONGEST_SOURCE:
            raise FlowError(
                f"the function {function.name!r} has {size} bytes of source, and {_LONGEST_SOURCE} "
                "can be sent: put it into the image, and name it as package.module:callable"
            )
        words = [function.name, function.file, str(function.first_line), function.text]
        # -u: a line that the flow prints is in the log when it is printed.
        return FlowCommand(
            command=[escape(self.python), "-u", "-c", escape(program("function_runner"))],
            args=[escape(word) for word in words],
        )
