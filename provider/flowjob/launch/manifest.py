"""The manifests of a flow run: a pure function of spec, arguments, flow run and environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flowjob.exceptions import JobSpecError
from flowjob.flow_run import ON_FINISH, REMOTE_RUN, FlowRun, add_labels, annotate
from flowjob.flows import as_flow
from flowjob.flows.base import FlowConnection, FlowRequest
from flowjob.kubernetes_object import KubernetesObject
from flowjob.launch.environment import check_user_environment, flow_environment, parameters_json
from flowjob.launch.secret import make_secret, references
from flowjob.remote_run import RemoteRun
from flowjob.spec.jinja import has_jinja
from flowjob.spec.job_spec import FlowContainer, JobSpec


@dataclass(frozen=True)
class JobArguments:
    """What the operator was asked to make of the job spec; see ``FlowJobOperator``.

    :param image: image of the flow container; None leaves the spec's own.
    :param flow: what the flow container runs, in any of the operator's forms.
    :param parameters: the flow's parameters.
    :param env: the user's variables of the flow container, rendered.
    :param namespace: namespace of the Job; None: the spec's, else the connection's.
    :param name: what the Job's name begins with; None: the spec's name.
    :param on_finish: what becomes of the Job once it has ended; the sweep reads it, too.
    """

    image: str | None = None
    flow: Any = None
    parameters: Mapping[str, Any] = field(default_factory=dict, repr=False)
    env: Mapping[str, Any] = field(default_factory=dict, repr=False)
    namespace: str | None = None
    name: str | None = None
    on_finish: str = "keep"


@dataclass(frozen=True)
class Manifests:
    """What a flow run has in the cluster.

    :param job: its Job.
    :param secret: the Secret that its flow container takes values from; None: there are none.
    """

    job: KubernetesObject
    secret: KubernetesObject | None = field(repr=False)


def make_manifests(
    flow_run: FlowRun,
    spec: JobSpec,
    arguments: JobArguments,
    *,
    airflow_variables: Mapping[str, str],
    cluster_namespace: str | None,
    connection: FlowConnection | None,
    remote_run: RemoteRun | None = None,
) -> Manifests:
    """Make the Job of a flow run, and the Secret that it needs.

    :param airflow_variables: Airflow's own variables, ``AIRFLOW_CTX_*``.
    :param cluster_namespace: the namespace that the cluster's connection names, if any.
    :param connection: the Airflow connection that the flow asks for by ``conn_id``.
    :param remote_run: the run that the flow asks for by ``remote_run``; None (default): there is
        none, or none yet.
    :raises JobSpecError: neither the arguments nor the spec have an image.
    :raises FlowError: the flow, its parameters or its variables cannot be run.
    """
    flow = as_flow(arguments.flow)
    namespace = arguments.namespace or spec.namespace or cluster_namespace or "default"
    request = FlowRequest(
        flow_run.flow_run_id,
        _image(flow_run, spec, arguments),
        namespace,
        connection,
        remote_run,
    )
    command = flow.command(request)
    check_user_environment(arguments.env)
    secrets = references(command.secrets, spec.job_name(flow_run, arguments.name))
    flow_variables = {**command.env, **secrets}
    container = FlowContainer(
        image=arguments.image or None,
        command=command.command,
        args=command.args,
        env=flow_environment(
            flow_run,
            spec,
            parameters=parameters_json(arguments.parameters),
            airflow=airflow_variables,
            flow=flow_variables,
        ),
        user_env=arguments.env,
        # So a key of the flow's need not stand in an Airflow connection.
        yielding=flow_variables.keys(),
    )
    job = spec.for_flow_run(flow_run, container, namespace=namespace, name=arguments.name)
    add_labels(job, command.labels)
    if arguments.on_finish != "keep":
        annotate(job, ON_FINISH, arguments.on_finish)
    if remote_run is not None:
        annotate(job, REMOTE_RUN, remote_run.to_text())
    return Manifests(job, make_secret(flow_run, job, command.secrets))


def _image(flow_run: FlowRun, spec: JobSpec, arguments: JobArguments) -> str:
    image = arguments.image or spec.image
    task_id = flow_run.task_instance.task_id
    if not image:
        raise JobSpecError(
            f"task {task_id!r} has no image: give the operator an image, "
            "or the first container of the job spec"
        )
    if has_jinja(image):
        raise JobSpecError(
            f"the image of task {task_id!r} is the Jinja {image!r}: a job spec is not "
            "templated, so give the image to the operator"
        )
    return image
