"""What the flow container runs, and how: one kind of flow a module.

It promises a command, arguments and variables, escaped for the kubelet. Pure: it may know neither
the job spec nor where the flow runs.
"""

from __future__ import annotations

from typing import Any

from flowjob.exceptions import FlowError
from flowjob.flows.base import Flow
from flowjob.flows.command import CommandFlow
from flowjob.flows.function import FunctionFlow
from flowjob.flows.prefect import PrefectFlow
from flowjob.flows.prefect_cloud import PrefectCloudFlow
from flowjob.flows.prefect_deployment import PrefectDeployment
from flowjob.flows.python import PythonFlow
from flowjob.flows.spec import SpecFlow

__all__ = [
    "CommandFlow",
    "Flow",
    "FunctionFlow",
    "PrefectCloudFlow",
    "PrefectDeployment",
    "PrefectFlow",
    "PythonFlow",
    "SpecFlow",
    "as_flow",
]


def as_flow(value: Any) -> Flow:
    """Read the operator's ``flow`` argument in its short forms (DESIGN section 3).

    :param value: None (the reference's contract), ``"package.module:callable"``, a list of
        command and arguments, or a ``Flow``.
    :raises FlowError: it is none of these.
    """
    if value is None:
        return PrefectCloudFlow()
    if isinstance(value, Flow):
        return value
    if isinstance(value, str):
        return PythonFlow(value)
    if isinstance(value, list | tuple):
        return CommandFlow(list(value))
    raise FlowError(
        f"flow is a {type(value).__name__}: give "
        '"package.module:callable", ["command", "argument"], or a Flow of flowjob.flows'
    )
