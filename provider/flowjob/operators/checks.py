"""What is wrong with an operator's arguments, told when the DAG is parsed."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, Literal, Protocol, get_args, runtime_checkable

from flowjob.exceptions import FlowError, FlowJobError, JobSpecError
from flowjob.spec.jinja import has_jinja
from flowjob.spec.overrides import check_overrides

if TYPE_CHECKING:
    from airflow.sdk import DAG

OnFinish = Literal["keep", "delete", "delete_succeeded"]
WaitFor = Literal["job", "flow"]
# Arguments that never reach Airflow's database.
PRIVATE_ARGUMENTS = ("job_spec", "env")


@runtime_checkable
class DockerStorage(Protocol):
    """What the image of a flow is called, as the reference's Docker storage has it."""

    registry_url: str | None
    image_name: str | None
    image_tag: str | None


def check_waiting(
    task_id: str,
    startup_timeout: Any,
    logging_interval: Any,
    on_finish: Any,
    wait_for: Any,
    log_containers: Any,
) -> None:
    """Check the arguments that say how a flow run is waited for; see ``FlowJobOperator``.

    :raises FlowError: one is none of its forms.
    """
    check_seconds(task_id, "startup_timeout", startup_timeout)
    check_seconds(task_id, "logging_interval", logging_interval)
    check_choice(task_id, "on_finish", on_finish, get_args(OnFinish))
    check_choice(task_id, "wait_for", wait_for, get_args(WaitFor))
    if isinstance(log_containers, str):
        more = " or a list of names"
        check_choice(task_id, "log_containers", log_containers, ("flow", "all"), more)


def check_seconds(task_id: str, name: str, value: Any) -> None:
    """Check a duration: a number over zero, or None.

    :raises FlowError: it is none.
    """
    if value is None or (type(value) in (int, float) and value > 0):
        return
    raise _wrong(task_id, name, value, "a number of seconds, or None")


def check_number(task_id: str, name: str, value: Any) -> None:
    """Check seconds that may be none, or less: a number.

    :raises FlowError: it is none.
    """
    if type(value) not in (int, float) or math.isnan(value):
        raise _wrong(task_id, name, value, "a number of seconds")


def check_choice(
    task_id: str, name: str, value: Any, choices: Sequence[str], more: str = ""
) -> None:
    """Check that it is one of some words.

    :param more: what else it might be, for the message.
    :raises FlowError: it is not.
    """
    if value not in choices:
        raise _wrong(task_id, name, value, f"one of {', '.join(choices)}{more}")


def read_exit_codes(task_id: str, value: Any) -> frozenset[int]:
    """Read ``skip_on_exit_code``: an exit code, a collection of some, or None.

    :raises FlowError: it is none of these.
    """
    if value is None:
        return frozenset()
    is_collection = isinstance(value, Collection) and not isinstance(value, str | bytes | Mapping)
    codes = list(value) if is_collection else [value]
    if not all(isinstance(code, int) and not isinstance(code, bool) for code in codes):
        wanted = "an exit code, a whole number such as 99, or a list of some"
        raise _wrong(task_id, "skip_on_exit_code", value, wanted)
    return frozenset(codes)


def read_image(task_id: str, value: Any) -> Any:
    """Read ``image``: its name, or a Docker storage.

    A storage becomes ``registry_url/image_name:image_tag``, as it names its image itself
    (``prefect/storage/docker.py``, ``name``). What an XCom gives is known when the task runs.

    :raises FlowError: it is neither, or a storage that has no image yet.
    """
    if value is None or isinstance(value, str) or hasattr(value, "resolve"):
        return value
    if not isinstance(value, DockerStorage):
        wanted = "its name as text, or a Docker storage of Prefect's"
        raise FlowError(f"task {task_id!r}: image is a {type(value).__name__}: give {wanted}")
    if not value.image_name or not value.image_tag:
        raise FlowError(
            f"task {task_id!r}: the Docker storage of image has no image_name or no image_tag: "
            "give it both"
        )
    registry = f"{value.registry_url.rstrip('/')}/" if value.registry_url else ""
    return f"{registry}{value.image_name}:{value.image_tag}"


def read_env(task_id: str, value: Any) -> Any:
    """Read ``env``: a mapping of names to values, or a list as containers of Kubernetes have it.

    What an XCom gives is known when the task runs.

    :raises FlowError: it is neither; the message repeats no value.
    """
    if value is None or isinstance(value, Mapping) or hasattr(value, "resolve"):
        return value
    wanted = "give a mapping of names to values, or a list as containers of Kubernetes have it"
    if isinstance(value, str) or not isinstance(value, Sequence):
        raise FlowError(f"task {task_id!r}: env is a {type(value).__name__}: {wanted}")
    env: dict[str, Any] = {}
    for index, variable in enumerate(value):
        keys = set(variable) if isinstance(variable, Mapping) else set()
        if keys not in ({"name", "value"}, {"name", "valueFrom"}):
            raise FlowError(f"task {task_id!r}: env[{index}] has not just name and value: {wanted}")
        if variable["name"] in env:
            name = variable["name"]
            raise FlowError(f"task {task_id!r}: env has the variable {name!r} twice")
        env[variable["name"]] = variable.get("value", variable.get("valueFrom"))
    return env


def check_parameters(task_id: str, value: Any) -> None:
    """Check ``parameters``: a mapping, or what may become one when the task runs.

    :raises FlowError: it can become none.
    """
    is_template = isinstance(value, str) and "{" in value
    if not (
        value is None or isinstance(value, Mapping) or hasattr(value, "resolve") or is_template
    ):
        raise FlowError(
            f"task {task_id!r}: parameters is a {type(value).__name__}: give a mapping of names "
            "to JSON values"
        )


def check_container_overrides(task_id: str, value: Any) -> None:
    """Check ``container_overrides``, unless they are known when the task runs.

    :raises JobSpecError: see ``check_overrides``.
    """
    if hasattr(value, "resolve") or (isinstance(value, str) and has_jinja(value)):
        return
    try:
        check_overrides(value)
    except JobSpecError as error:
        raise JobSpecError(f"task {task_id!r}: {error}") from None


@cache
def default_deferrable() -> bool:
    """Return what ``[operators] default_deferrable`` says, which is asked once in a process."""
    from airflow.configuration import conf

    return bool(conf.getboolean("operators", "default_deferrable", fallback=False))


def check_default_args(dag: DAG | None, **given: Any) -> None:
    """Refuse private arguments that come from the DAG's ``default_args``, which Airflow stores.

    :param given: what the task got; one of its own is no other's.
    :raises FlowJobError: see ``check_not_stored``.
    """
    default_args = dag.default_args if dag else {}
    stored = {name: value for name, value in given.items() if value is default_args.get(name)}
    check_not_stored("default_args hold", stored)


def check_not_stored(where: str, arguments: Mapping[str, Any]) -> None:
    """Refuse the private arguments where Airflow would store their values.

    :param where: what stores them, for the message.
    :param arguments: what it is given; what an XCom gives is stored by who pushed it.
    :raises JobSpecError: a job spec is among them.
    :raises FlowError: an env is.
    """
    for name in PRIVATE_ARGUMENTS:
        if arguments.get(name) is None or hasattr(arguments[name], "resolve"):
            continue
        error: type[FlowJobError] = JobSpecError if name == "job_spec" else FlowError
        instead = (
            "give the task a job_spec_file"
            if name == "job_spec"
            else "give env to the task itself, or let the job spec take it from a Secret"
        )
        raise error(f"Airflow stores what {where}, and so the {name}: {instead}")


def _wrong(task_id: str, name: str, value: Any, wanted: str) -> FlowError:
    return FlowError(f"task {task_id!r}: {name} is {value!r}: give {wanted}")
