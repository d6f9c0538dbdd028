"""``CommandFlow``: any command in any language."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from flowjob.exceptions import FlowError
from flowjob.flows.base import Flow, FlowCommand, FlowRequest, escape


@dataclass
class CommandFlow(Flow):
    """A command; the operator's ``parameters`` reach it as JSON in ``FLOW_PARAMETERS``.

    :param arguments: the command and its arguments, each a string; no shell is involved.
    """

    arguments: list[str]

    template_fields: ClassVar[tuple[str, ...]] = ("arguments",)

    def command(self, request: FlowRequest) -> FlowCommand:
        """Run the command in place of the image's own entrypoint.

        :raises FlowError: it is empty or has an element that is not a string.
        """
        if not self.arguments or not all(isinstance(word, str) for word in self.arguments):
            raise FlowError(
                'a command flow is a list of at least one string, such as ["python3", "flow.py"]; '
                "write numbers in quotes"
            )
        return FlowCommand(command=[escape(word) for word in self.arguments], args=[])
