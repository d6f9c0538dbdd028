"""What the operator hands over: to one try of its task, to its trigger, and at last to Airflow."""

from __future__ import annotations

import time
from dataclasses import asdict
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from flowjob.flow_run import REMOTE_RUN, annotation, flow_run_id_of
from flowjob.kubernetes_object import flow_container_of
from flowjob.launch.manifest import JobArguments

if TYPE_CHECKING:
    from airflow.sdk import Context

    from flowjob.operators.flow_job import FlowJobOperator
    from flowjob.spec.job_spec import JobSpec
    from flowjob.triggers.flow_job import FlowJobTrigger
    from flowjob.worker.arguments import TryArguments
    from flowjob.worker.finish import Success
    from flowjob.worker.waiting import Deferral


def job_spec_of(operator: FlowJobOperator, context: Context) -> JobSpec:
    """Return the operator's job spec, rendered and its first container overridden where asked for.

    :raises JobSpecError: it is not what it should be.
    """
    from flowjob.worker.context import rendered_job_spec

    spec = operator.loaded_job_spec()
    if operator.template_job_spec:
        spec = rendered_job_spec(spec, context)
    overrides = operator.container_overrides
    return spec if overrides is None else spec.with_overrides(overrides)


def arguments_of(operator: FlowJobOperator, context: Context) -> TryArguments:
    """Return what one try needs; the template fields are rendered already."""
    from flowjob.worker.arguments import TryArguments
    from flowjob.worker.context import default_defer_after, rendered_env

    # First of all: the secrets in it are masked in every log line from here on.
    env = rendered_env(operator.env, context)
    timeout, defer_after = operator.execution_timeout, operator.defer_after
    return TryArguments(
        kubernetes_conn_id=operator.kubernetes_conn_id,
        spec=job_spec_of(operator, context),
        job=JobArguments(
            image=operator.image,
            flow=operator.flow,
            parameters=operator.flow_parameters(context),
            env=env,
            namespace=operator.namespace,
            name=operator.name,
            on_finish=operator.on_finish,
        ),
        deferrable=operator.deferrable,
        defer_after=default_defer_after() if defer_after is None else defer_after,
        startup_timeout=operator.startup_timeout,
        wait_for=operator.wait_for,
        log_containers=operator.log_containers,
        skip_on_exit_code=operator.skip_on_exit_code,
        deadline=time.time() + timeout.total_seconds() if timeout else None,
        wants_result=operator.do_xcom_push,
        multiple_outputs=operator.multiple_outputs,
    )


def trigger_of(operator: FlowJobOperator, deferral: Deferral) -> FlowJobTrigger:
    """Return what waits for the flow run while the task takes no worker."""
    from flowjob.triggers.flow_job import FlowJobTrigger

    metadata, containers = deferral.job["metadata"], operator.log_containers
    return FlowJobTrigger(
        kubernetes_conn_id=operator.kubernetes_conn_id,
        namespace=metadata["namespace"],
        job_name=metadata["name"],
        job_uid=metadata["uid"],
        flow_run_id=flow_run_id_of(deferral.job),
        flow_container=flow_container_of(deferral.job),
        logging_interval=operator.logging_interval,
        startup_timeout=operator.startup_timeout,
        wait_for=operator.wait_for,
        exit_codes=operator.skip_on_exit_code,
        log_containers=containers if isinstance(containers, str) else list(containers),
        not_before=deferral.not_before,
        remote_run=annotation(deferral.job, REMOTE_RUN),
        **asdict(deferral.flow_run.task_instance),
    )


def hand_on(operator: FlowJobOperator, end: Success | Deferral) -> Any:
    """Give Airflow what a try ended with, and return the result.

    :param end: a result, or a deferral.
    :raises TaskDeferred: the triggerer is to wait for the flow run.
    """
    from flowjob.worker.waiting import Deferral

    if isinstance(end, Deferral):
        deadline = end.deadline
        operator.defer(
            trigger=trigger_of(operator, end),
            method_name="execute_complete",
            kwargs={"deadline": deadline},
            timeout=timedelta(seconds=max(deadline - time.time(), 0)) if deadline else None,
        )
    if (job := end.job_to_delete) is not None:

        def delete(context: Context) -> None:
            from flowjob.worker.finish import delete_job

            delete_job(operator.kubernetes_conn_id, job, context)

        operator.on_success_callback = [*operator.on_success_callback, delete]
    return end.result
