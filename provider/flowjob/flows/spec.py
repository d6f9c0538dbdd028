"""``SpecFlow``: what the job spec's first container already says."""

from __future__ import annotations

from dataclasses import dataclass

from flowjob.flows.base import Flow, FlowCommand, FlowRequest


@dataclass
class SpecFlow(Flow):
    """The first container's own command and args, and its image where ``image`` is left out."""

    def command(self, request: FlowRequest) -> FlowCommand:
        """Leave the command and args of the spec as they are."""
        return FlowCommand()
