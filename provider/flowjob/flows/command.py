"""``CommandFlow``: any command in any language."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from flowjob.exceptions import FlowError
from flowjob.flows.base import Flow, FlowCommand, FlowRequest, escape


@dataclass
class CommandFlow(Flow):
    """A command; the operator's ``parameters`` reach it as JSON in ``FLOW_PARAMETERS``.

    :param arguments: the command and its arguments, each a string; no shell is involved. None
        (default): the image's own entrypoint, with ``args``.
    :param args: in place of ``arguments``, the arguments of the image's own entrypoint, or of the
        spec's ``command``.
    """

    arguments: list[str] | None = None
    args: list[str] | None = None

    template_fields: ClassVar[tuple[str, ...]] = ("arguments", "args")

    def command(self, request: FlowRequest) -> FlowCommand:
        """Run the command in place of the image's own entrypoint, or that with other arguments.

        :raises FlowError: it is empty, has an element that is not a string, or is given twice.
        """
        if self.args is not None:
            if self.arguments is not None:
                raise FlowError(
                    "a command flow has arguments, the whole command, or args: give one"
                )
            return FlowCommand(args=_words(self.args))
        return FlowCommand(command=_words(self.arguments), args=[])


def _words(words: Any) -> list[str]:
    if (
        not isinstance(words, list | tuple)
        or not words
        or not all(isinstance(word, str) for word in words)
    ):
        raise FlowError(
            'a command flow is a list of at least one string, such as ["python3", "flow.py"]; '
            "write numbers in quotes"
        )
    return [escape(word) for word in words]
