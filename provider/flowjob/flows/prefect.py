"""``PrefectFlow``: a Prefect flow of any generation, run without a Prefect server."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from flowjob.exceptions import FlowError
from flowjob.flows.base import Flow, FlowCommand, FlowRequest, escape
from flowjob.flows.python import is_callable_name
from flowjob.flows.runner_text import program


@dataclass
class PrefectFlow(Flow):
    """A Prefect flow, run by the Prefect that the image has; no server takes part.

    A ``Flow`` of Prefect 0.x and 1.x is run without its schedule, and the result is that of its
    terminal tasks by name; a ``@flow`` of Prefect 2 and 3 is called, and its return value is the
    result. The operator's ``parameters`` are the flow's, and are checked before it runs.

    :param flow: ``package.module:flow``, importable in the image, or the absolute path of a
        pickled flow there, such as Prefect's Docker storage makes.
    :param python: the interpreter in the image, a name on its PATH or an absolute path.
    """

    flow: str
    python: str = "python3"

    template_fields: ClassVar[tuple[str, ...]] = ("flow", "python")

    def command(self, request: FlowRequest) -> FlowCommand:
        """Run the runner's text, so that nothing but Prefect has to be in the image.

        :raises FlowError: the flow is neither ``package.module:flow`` nor an absolute path.
        """
        if not is_callable_name(self.flow) and not self.flow.startswith("/"):
            raise FlowError(
                f"Prefect flow {self.flow!r} cannot be found: write it as "
                '"package.module:flow", or as the absolute path of a pickled flow, "/flow.prefect"'
            )
        # -u: a line that the flow prints is in the log when it is printed.
        return FlowCommand(
            command=[escape(self.python), "-u", "-c", escape(program("prefect_runner"))],
            args=[escape(self.flow)],
        )
