"""What of a job spec does not go with how its flow run is waited for."""

from __future__ import annotations

from typing import Any

from flowjob.exceptions import FlowError
from flowjob.timeouts import SHORT_TTL
from flowjob.worker.arguments import TryArguments


def check_spec(arguments: TryArguments, task_id: str, log: Any) -> None:
    """Say what of the spec does not go with how it is waited for.

    :raises FlowError: it cannot be waited for so.
    """
    spec = arguments.spec
    if arguments.wait_for == "flow" and spec.has_many_pods:
        raise FlowError(
            f"task {task_id!r}: wait_for='flow' waits for one pod, but the job spec has "
            "parallelism or completions: use wait_for='job'"
        )
    if not isinstance(arguments.log_containers, str):
        for name in sorted(set(arguments.log_containers) - set(spec.container_names)):
            log.warning("The job spec has no container %r of log_containers", name)
    if spec.ttl is not None and spec.ttl < SHORT_TTL:
        log.warning(
            "ttlSecondsAfterFinished is %s s: should the worker die, a later try may not find "
            "the Job any more and run the flow again; set it to %s s or more",
            spec.ttl,
            SHORT_TTL,
        )
