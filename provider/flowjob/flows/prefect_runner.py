"""What a ``PrefectFlow`` runs in the flow container.

It is sent as text after that of ``flowjob.flows.runner``, so it needs Python's standard library
(3.7 and later) alone, and the Prefect that the image has, which may be of any generation: a flow of
0.x and 1.x is a ``Flow`` made of tasks, whose ``run`` returns a state; one of 2 and 3 is a function
under ``@flow``.
"""

import atexit
import inspect
import os
import shutil
import signal
import sys
import tempfile
import traceback
from contextlib import suppress
from datetime import datetime
from typing import Any

from flowjob.flows.runner import FlowFailed, finished, load, main, told

# Prefect 2 and 3 keep their states in an API: where none is named, in one that they start for the
# time of the run. It is to be nobody else's business, and nothing of it is kept.
API_OF_ITS_OWN = {
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "true",
    # It takes 10 s on a core of its own, and Prefect waits for 20; a container may have a tenth.
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "600",
    # Nobody reads them there.
    "PREFECT_API_BLOCKS_REGISTER_ON_START": "false",
    "PREFECT_LOGGING_TO_API_ENABLED": "false",
    "PREFECT_SERVER_LOGGING_LEVEL": "ERROR",
}


def run_prefect(name: str, parameters: dict[str, Any]) -> Any:
    """Run a Prefect flow without a server, and return its result.

    :param name: ``package.module:flow``, or the absolute path of a pickled flow.
    :param parameters: what the flow is given, by name.
    """
    prepare_environment()
    flow = load_flow(name)
    if hasattr(flow, "terminal_tasks"):
        return run_tasks(flow, parameters)
    return run_function(flow, parameters)


def prepare_environment() -> None:
    """Set what Prefect reads when it is imported; what the container has already stays."""
    for variable, value in API_OF_ITS_OWN.items():
        os.environ.setdefault(variable, value)
    if "PREFECT_HOME" not in os.environ:
        # The user's own may be nowhere, or not writable.
        os.environ["PREFECT_HOME"] = home = tempfile.mkdtemp(prefix="prefect-")
        atexit.register(shutil.rmtree, home, ignore_errors=True)
    # A proxy that leads out of the cluster does not lead to that API.
    reached_directly = os.environ.get("no_proxy") or os.environ.get("NO_PROXY")
    os.environ["no_proxy"] = ",".join(filter(None, (reached_directly, "127.0.0.1")))


def airflow_times() -> dict[str, Any]:
    """Return when the run was due, and its data interval, where Airflow knows them.

    A scheduler, Prefect's or Airflow's, starts a run when its slice of time is over.
    """
    parse: Any = datetime.fromisoformat
    with suppress(ImportError):  # Prefect 3 on a Python for which there is none
        import pendulum

        parse = pendulum.parse
    start = os.environ.get("AIRFLOW_CTX_DATA_INTERVAL_START")
    end = os.environ.get("AIRFLOW_CTX_DATA_INTERVAL_END")
    times = {"scheduled_start_time": end, "data_interval_start": start, "data_interval_end": end}
    return {key: parse(time) for key, time in times.items() if time}


def load_flow(name: str) -> Any:
    """Import a flow, or read it from the file that Prefect's Docker storage makes of it."""
    try:
        import prefect
    except ModuleNotFoundError as error:
        if error.name != "prefect":
            raise
        raise FlowFailed("the image has no Prefect: install the flow's version there") from None
    flow = unpickled(name) if name.startswith("/") else load(name)
    if not isinstance(flow, prefect.Flow):
        raise FlowFailed(f"{name!r} is a {type(flow).__name__} and no flow of Prefect's: name one")
    return flow


def unpickled(path: str) -> Any:
    """Read a pickled flow: bare, or with the versions that it was made with."""
    try:
        from prefect.utilities.storage import flow_from_bytes_pickle as loads
    except ImportError:
        from pickle import loads
    with open(path, "rb") as file:
        return loads(file.read())  # noqa: S301  # it is a part of the image, as the modules are


def check_parameters(flow: str, known: dict[str, bool], given: dict[str, Any]) -> None:
    """Check parameters by their names, before anything runs.

    :param flow: the flow's name.
    :param known: by name, whether a parameter must be given; ``**`` stands for any other.
    :param given: the parameters that were given.
    """
    missing = [name for name, required in known.items() if required and name not in given]
    unknown = [name for name in given if name not in known and "**" not in known]
    if missing:
        raise FlowFailed(f"the flow {flow!r} needs the parameters {', '.join(sorted(missing))}")
    if unknown:
        raise FlowFailed(
            f"the flow {flow!r} has no parameters {', '.join(sorted(unknown))}: "
            f"it has {', '.join(sorted(known)) or 'none'}"
        )


# --- Prefect 0.x and 1.x --------------------------------------------------------------------------


def run_tasks(flow: Any, parameters: dict[str, Any]) -> Any:
    """Run a flow of Prefect 0.x or 1.x, and return the results of its terminal tasks by name."""
    known = {parameter.name: parameter.required for parameter in flow.parameters()}
    check_parameters(flow.name, known, parameters)
    try:
        # Airflow has the schedule.
        state = flow.run(parameters=parameters, run_on_schedule=False, runner_cls=runner_class())
    except EOFError:
        # Prefect asks whoever sits at the terminal.
        hint = "a task waits to be approved: give it a trigger other than manual_only"
        raise FlowFailed(hint) from None
    if not state.is_successful():
        raise FlowFailed(why_tasks_failed(flow, state))
    return results_by_name(flow, state)


def runner_class() -> Any:
    """Return the class that runs a flow in this process, whatever the configuration names.

    An image, or a job spec, that was made for Prefect Cloud names those that report there.
    """
    from prefect.engine import flow_runner, task_runner

    context_of_airflow = airflow_times()
    if "FLOW_RUN_ID" in os.environ:
        context_of_airflow["flow_run_id"] = os.environ["FLOW_RUN_ID"]

    # Prefect's log names it.
    class FlowRunner(flow_runner.FlowRunner):  # type: ignore[misc]  # it is only in the image
        def __init__(self, flow: Any) -> None:
            super().__init__(flow=flow, task_runner_cls=task_runner.TaskRunner)

        def run(self, context: Any = None, executor: Any = None, **rest: Any) -> Any:
            # Before 0.14 a flow's executor was its environment's.
            if executor is None and getattr(self.flow, "executor", None) is None:
                executor = getattr(getattr(self.flow, "environment", None), "executor", None)
            context = {**(context or {}), **context_of_airflow}
            return super().run(context=context, executor=executor, **rest)

    return FlowRunner


def results_by_name(flow: Any, state: Any) -> dict[str, Any]:
    """Return the results of a flow's terminal tasks by name; by slug where two share a name."""
    tasks = flow.terminal_tasks()
    names = [task.name for task in tasks]
    results = {
        task.name if names.count(task.name) == 1 else flow.slugs[task]: result(state.result[task])
        for task in tasks
    }
    return dict(sorted(results.items()))


def result(state: Any) -> Any:
    """Return the result of a task, of a mapped one a list; None of one that did not succeed."""
    if hasattr(state, "map_states"):
        return [result(child) for child in state.map_states]
    return state.result if state.is_successful() else None


def why_tasks_failed(flow: Any, state: Any) -> str:
    """Name the first task that failed, with its own exception."""
    states = state.result if isinstance(state.result, dict) else {}
    causes = [
        cause
        for task in flow.sorted_tasks()
        if task in states
        for cause in causes_in(f"task {task.name!r}", states[task])
    ]
    if not causes:
        return why_state(state, type(state).__name__)
    more = f" (and {len(causes) - 1} more failed)" if len(causes) > 1 else ""
    return causes[0] + more


def causes_in(task: str, state: Any) -> list[str]:
    """Tell why a task failed by itself, of a mapped one each child; not those that wait for it."""
    if hasattr(state, "map_states"):
        return [
            cause
            for index, child in enumerate(state.map_states)
            for cause in causes_in(f"{task} (map index {index})", child)
        ]
    if not state.is_failed() or type(state).__name__ == "TriggerFailed":
        return []
    error = state.result
    return [f"{task} failed: {told(error) if isinstance(error, BaseException) else state.message}"]


# --- Prefect 2 and 3 ------------------------------------------------------------------------------


def run_function(flow: Any, parameters: dict[str, Any]) -> Any:
    """Call a flow of Prefect 2 or 3, and return what it returns."""
    kinds = inspect.Parameter
    check_parameters(
        flow.name,
        {
            "**" if parameter.kind is kinds.VAR_KEYWORD else parameter.name: (
                parameter.default is kinds.empty
                and parameter.kind not in (kinds.VAR_KEYWORD, kinds.VAR_POSITIONAL)
            )
            for parameter in inspect.signature(flow.fn).parameters.values()
        },
        parameters,
    )
    tell_times()
    try:
        return result_of_function(flow, parameters)
    except BaseException as error:
        # What Prefect makes of SIGTERM passes an event loop as it is.
        if type(error).__name__ == "TerminationSignal":
            sys.exit(128 + signal.SIGTERM)
        raise


def result_of_function(flow: Any, parameters: dict[str, Any]) -> Any:
    """Call a flow, and have all of it done."""
    if inspect.isgeneratorfunction(flow.fn):
        return list(flow(**parameters))
    if inspect.isasyncgenfunction(flow.fn):
        return finished(collected(flow(**parameters)))
    # The state, as a flow that returns states of tasks that failed has failed without an exception.
    state = finished(flow(**parameters, return_state=True))
    if not state.is_completed():
        raise FlowFailed(why_function_failed(state))
    return finished(state.result())


def tell_times() -> None:
    """Let ``prefect.runtime.flow_run`` have what that of a scheduled run has."""
    try:
        from prefect.runtime import flow_run
    except ImportError:
        return  # an early Prefect 2
    for key, time in airflow_times().items():
        setattr(flow_run, key, time)


async def collected(values: Any) -> list[Any]:
    """Return all that an asynchronous generator yields."""
    return [value async for value in values]


def why_function_failed(state: Any) -> str:
    """Tell why a flow failed, with the name of the task whose exception it was."""
    error = finished(state.result(raise_on_failure=False))
    while not isinstance(error, BaseException):
        states = [state for state in as_list(error) if hasattr(state, "is_completed")]
        failed = [state for state in states if not state.is_completed()]
        if not failed:
            return why_state(state, state.name)
        state = failed[0]
        error = finished(state.result(raise_on_failure=False))
    task = failed_task(error)
    return f"task {task!r} failed: {told(error)}" if task else told(error)


def as_list(value: Any) -> list[Any]:
    """Return the elements of a collection, or a list of the value alone."""
    return list(value) if isinstance(value, (list, tuple, set)) else [value]


def failed_task(error: BaseException) -> Any:
    """Return the name of the task that an exception comes from, None: from the flow itself.

    Prefect's engine, through which it came, has the task at hand.
    """
    from prefect import Task

    name = None
    for frame, _ in traceback.walk_tb(error.__traceback__):
        task = frame.f_locals.get("task")
        if isinstance(task, Task) and frame.f_globals["__name__"].startswith("prefect."):
            name = task.name
    return name


def why_state(state: Any, name: str) -> str:
    """Tell of a state that no exception has led to."""
    return f"the flow ended as {name}" + (f": {state.message}" if state.message else "")


if __name__ == "__main__":
    main(run_prefect)
