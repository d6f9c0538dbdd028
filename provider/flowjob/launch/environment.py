"""The environment of the flow container: what every flow run gets, and in which order.

Pure: no Airflow, no Kubernetes client.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from flowjob.exceptions import FlowError
from flowjob.flow_run import FlowRun
from flowjob.flows.base import escape
from flowjob.spec.job_spec import JobSpec

# Linux' limit for one variable, 128 KiB, less its name and the byte that ends it.
_LONGEST_PARAMETERS = 2**17 - len("FLOW_PARAMETERS=") - 1

# Where a variable may come from, in place of a value (Kubernetes' ``EnvVarSource``).
_SOURCES = {"configMapKeyRef", "fieldRef", "fileKeyRef", "resourceFieldRef", "secretKeyRef"}


def parameters_json(parameters: Any) -> str:
    """Encode the operator's ``parameters`` as they reach the flow in ``FLOW_PARAMETERS``.

    :raises FlowError: they are no mapping, hold a value that JSON does not have, or are too large.
    """
    if not isinstance(parameters, Mapping):
        raise FlowError(
            f"parameters is a {type(parameters).__name__}: give a mapping of names to JSON values"
        )
    try:
        text = json.dumps(dict(parameters), allow_nan=False, default=_plain)
    except (TypeError, ValueError) as error:
        raise FlowError(f"parameters cannot be sent to the flow as JSON: {error}") from None
    if len(text) > _LONGEST_PARAMETERS:
        raise FlowError(
            f"parameters have {len(text)} bytes as JSON, and {_LONGEST_PARAMETERS} fit into a "
            "variable: write them to storage and pass a reference"
        )
    return text


def _plain(value: Any) -> Any:
    """Make a list or a dict of what is one by its behaviour, as the outputs of mapped tasks are."""
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return list(value)
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def flow_environment(
    flow_run: FlowRun,
    spec: JobSpec,
    *,
    parameters: str,
    airflow: Mapping[str, str],
    flow: Mapping[str, Any],
) -> dict[str, Any]:
    """Collect the variables that we set in the flow container, so that each means itself.

    :param flow_run: gives ``FLOW_RUN_ID``.
    :param spec: gives ``FLOW_RESULT_PATH`` and ``FLOW_RESULT_LIMIT`` (bytes), where and how much
        a flow may write as its result.
    :param parameters: the flow's parameters as JSON, for ``FLOW_PARAMETERS``.
    :param airflow: Airflow's own variables, ``AIRFLOW_CTX_*``.
    :param flow: the variables of this kind of flow; what Kubernetes has below ``valueFrom`` stays
        as it is.
    """
    ours = {
        "FLOW_RUN_ID": flow_run.flow_run_id,
        "FLOW_PARAMETERS": parameters,
        "FLOW_RESULT_PATH": spec.result_path,
        "FLOW_RESULT_LIMIT": str(spec.result_limit),
        **airflow,
        **flow,
    }
    return {
        name: escape(value) if isinstance(value, str) else value for name, value in ours.items()
    }


def check_user_environment(user: Mapping[str, Any]) -> None:
    """Check the operator's ``env``; what its values mean is Kubernetes' to say.

    :param user: by name, a string, or a reference such as ``{"secretKeyRef": {...}}``.
    :raises FlowError: a name is no string, or a value neither; the message repeats no value.
    """
    for name, value in user.items():
        is_reference = isinstance(value, Mapping) and len(value) == 1 and value.keys() <= _SOURCES
        if not isinstance(name, str) or not (isinstance(value, str) or is_reference):
            raise FlowError(
                f"the env variable {name!r} has a value of type {type(value).__name__}: "
                "Kubernetes takes strings, write it in quotes, or give a reference as it has below "
                f"valueFrom ({', '.join(sorted(_SOURCES))})"
            )
