"""``@task.flow_job``: run a function of the DAG file on a Kubernetes Job."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

from airflow.sdk.bases.decorator import DecoratedOperator, TaskDecorator, task_decorator_factory
from airflow.sdk.definitions.context import KNOWN_CONTEXT_KEYS

from flowjob.exceptions import FlowError
from flowjob.flows import FunctionFlow
from flowjob.flows.function_source import FunctionSource
from flowjob.operators.flow_job import FlowJobOperator

if TYPE_CHECKING:
    from airflow.sdk import Context

# What of Airflow's context is JSON, or a time, which is sent as ISO 8601 text.
_SENT = {
    "data_interval_end",
    "data_interval_start",
    "ds",
    "ds_nodash",
    "logical_date",
    "params",
    "run_id",
    "ts",
    "ts_nodash",
    "ts_nodash_with_tz",
}
# What the decorator gives to the operator by itself, and a spec that Airflow would store with what
# else a mapped task has.
_REFUSED = {
    "flow": "the function is the flow",
    "parameters": "the function's arguments are the parameters",
    "job_spec": "give a decorated function a job_spec_file",
}


class FlowJobDecoratedOperator(DecoratedOperator, FlowJobOperator):
    """What ``@task.flow_job`` makes of a function; see ``flow_job_task``."""

    custom_operator_name = "@task.flow_job"
    template_fields: Sequence[str] = (
        "op_args",
        "op_kwargs",
        *(field for field in FlowJobOperator.template_fields if field != "parameters"),
    )
    # Copies of the operator share the function, as with every decorated operator of Airflow's.
    shallow_copy_attrs: Sequence[str] = ("python_callable",)

    def __init__(
        self,
        *,
        python_callable: Callable[..., Any],
        task_id: str,
        op_args: Collection[Any] | None = None,
        op_kwargs: Mapping[str, Any] | None = None,
        python: str = "python3",
        **kwargs: Any,
    ) -> None:
        super().__init__(
            python_callable=python_callable,
            task_id=task_id,
            op_args=op_args,
            op_kwargs=op_kwargs,
            flow=FunctionFlow(FunctionSource.of(python_callable), python),
            **kwargs,
        )

    def flow_parameters(self, context: Context) -> Mapping[str, Any]:
        """Return the function's arguments by name, with those that Airflow's context gives.

        :raises FlowError: they are not those of the function.
        """
        signature = inspect.signature(self.python_callable)
        try:
            arguments = signature.bind_partial(*self.op_args, **self.op_kwargs).arguments
        except TypeError as error:
            name = self.python_callable.__name__
            raise FlowError(f"the function {name!r} cannot be called: {error}") from None
        of_context = {
            name: _as_json(context.get(name))
            for name in signature.parameters
            if name in _SENT and name not in arguments
        }
        return arguments | of_context


def flow_job_task(
    python_callable: Callable[..., Any] | None = None,
    multiple_outputs: bool | None = None,
    **kwargs: Any,
) -> TaskDecorator:
    """Make a task of a function, whose source runs in the flow container (``@task.flow_job``).

    The image needs Python (3.7 or later) and nothing of ours. The function is called there with its
    arguments as JSON, XComs among them, and its return value, JSON, is the task's. What it needs of
    modules it imports itself. An argument that is named as a value of Airflow's context (``ds``,
    ``ts``, ``run_id``, ``params``, ``logical_date``, ``data_interval_start``,
    ``data_interval_end``) and is not given gets that; times are ISO 8601 text.

    :param python_callable: the function.
    :param multiple_outputs: whether each key of its result becomes an XCom of its own; default:
        where its return type is a mapping.
    :param kwargs: the arguments of ``FlowJobOperator``, all but ``flow``, ``parameters`` and
        ``job_spec``; and ``python``, the interpreter in the image (default ``python3``).
    :raises FlowError: when the DAG is parsed, the function cannot run without its module.
    """
    for name in _REFUSED.keys() & kwargs.keys():
        raise FlowError(f"@task.flow_job takes no {name}: {_REFUSED[name]}")
    if python_callable is None:
        decorate = functools.partial(flow_job_task, multiple_outputs=multiple_outputs, **kwargs)
        return decorate  # type: ignore[return-value]
    # Of a mapped task Airflow makes the operator only when it runs.
    FunctionSource.of(python_callable)
    _check_context_keys(python_callable)
    return task_decorator_factory(
        python_callable=python_callable,
        multiple_outputs=multiple_outputs,
        decorated_operator_class=FlowJobDecoratedOperator,
        **kwargs,
    )


def _check_context_keys(function: Callable[..., Any]) -> None:
    """Refuse what of Airflow's context cannot leave the worker, such as ``ti``.

    :raises FlowError: the function asks for that.
    """
    for name in inspect.signature(function).parameters:
        if name in KNOWN_CONTEXT_KEYS and name not in _SENT:
            raise FlowError(
                f"the function {function.__name__!r} asks for {name!r} of Airflow's context, "
                "which stays in the worker: hand over what it needs of it by another name"
            )


def _as_json(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else value
