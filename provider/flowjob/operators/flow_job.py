"""``FlowJobOperator``: run a flow on a Kubernetes Job that the user wrote."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from airflow.sdk import BaseOperator

from flowjob.exceptions import JobSpecError
from flowjob.flows import Flow, as_flow
from flowjob.kubernetes_object import KubernetesObject
from flowjob.operators.checks import (
    DockerStorage,
    OnFinish,
    WaitFor,
    check_container_overrides,
    check_default_args,
    check_number,
    check_parameters,
    check_waiting,
    default_deferrable,
    read_env,
    read_exit_codes,
    read_image,
)
from flowjob.operators.handover import arguments_of, hand_on
from flowjob.operators.job_spec_file import check_job_spec, load_job_spec, take_job_spec
from flowjob.operators.lineage import Lineage
from flowjob.operators.links import links_of
from flowjob.operators.mapping import CheckedPartial, check_partial
from flowjob.spec.jinja import has_jinja
from flowjob.spec.job_spec import JobSpec
from flowjob.worker.errors import WithoutFrames

if TYPE_CHECKING:
    from airflow.sdk import Context

    from flowjob.worker.task_try import TaskTry

# Of what most operators leave as it is; there may be thousands in a DAG file.
_DEFAULTS = (600, None, "keep", "job", "flow")

_WITHOUT_FRAMES = WithoutFrames()
# Airflow resumes a task so when its trigger failed or timed out.
_TRIGGER_FAILED = "__fail__"


class FlowJobOperator(Lineage, BaseOperator):
    """Run a flow on a Kubernetes Job and carry its result back to Airflow.

    It loads the job spec, overrides its first container and two labels, creates the Job, waits
    for its end while the flow's log lines come into the task's log, and pushes the XComs
    ``flow_run_id``, ``job_name``, ``namespace``, ``status`` and ``outcome``. The flow's own
    result is the ``return_value``.

    :param job_spec_file: path of the Job spec (YAML): beside the DAG file, absolute, or on the
        DAG's ``template_searchpath``. It is loaded when the DAG is parsed; one with Jinja in it
        when the task runs. (templated)
    :param job_spec: the Job spec as a dict, in place of a file.
    :param template_job_spec: render the job spec's values when the task runs, as Airflow renders
        templates (text, or in a DAG with ``render_template_as_native_obj`` also numbers); what
        comes of it is not stored. Default: they reach Kubernetes as they stand.
    :param image: image of the flow container, ``registry_url/image_name:image_tag``, or a Docker
        storage of Prefect's, which has these; default: the spec's own image. (templated)
    :param flow: what the flow container runs: ``"package.module:callable"``, a command as a list,
        or a ``Flow`` of ``flowjob.flows``; default: ``PrefectCloudFlow()``, the contract of
        Prefect's KubernetesJobEnvironment. (templated)
    :param parameters: the flow's parameters, JSON values by name. (templated)
    :param env: environment variables of the flow container, strings by name, or a list of mappings
        with name and value as Kubernetes has it. Jinja in them is rendered, and the result is not
        stored in Airflow's database as that of a template field would be.
    :param container_overrides: fields of the first container in place of the job spec's, such as
        ``{"resources": {"limits": {"memory": "{{ ti.try_number }}Gi"}}}``: mappings are merged,
        lists and all else replaced, and None removes a field. Its name, image, command, args and
        env are not among them. What a template renders here is stored in Airflow's database, as
        that of every template field is. (templated)
    :param namespace: of the Job; default: the spec's, the connection's, ``default``. (templated)
    :param name: what the Job's name begins with; default: the spec's name. (templated)
    :param kubernetes_conn_id: Airflow connection of type ``kubernetes``, the cluster. (templated)
    :param deferrable: wait in the triggerer, where a waiting flow run takes no worker; default:
        Airflow's ``[operators] default_deferrable``.
    :param defer_after: seconds to wait in the worker before that, as a short flow ends sooner than
        a task resumes; 0: none. Default: ``[flowjob] defer_after``, by default 5.
    :param startup_timeout: seconds (default 600) that the flow container may take to start, after
        which the task fails with what held it up, and the Job is deleted; None: any number. A
        Job that is suspended on purpose, as by Kueue, is waited for, unless Kueue says for so long
        that it can never admit it. What cannot heal by itself fails the task at once.
    :param skip_on_exit_code: exit codes of the flow container that skip the task; default: none.
    :param wait_for: ``"job"`` (default): the flow run ends with its Job; ``"flow"``: it ends with
        its flow container where other containers, such as a database proxy, keep the Job active.
        The Job is then deleted, which is the only way to end them.
    :param log_containers: whose log comes into the task's log: ``"flow"`` (default): the flow
        container's; ``"all"``: that of every container, init containers and sidecars, too; or the
        names of some. Lines of the latter two begin with the container's name, and those of a Job
        with several pods with the pod's index or name. The last lines of a container that failed
        come in any case.
    :param logging_interval: seconds after which a deferred task comes back to a worker to fetch
        the flow's log so far; None (default): it is fetched at the end, of which the node keeps
        the last 10 MiB or so. In the worker, lines come while the flow runs.
    :param on_finish: what becomes of the Job once its outcome is in XCom: ``keep`` (default, as
        in the reference), ``delete``, or ``delete_succeeded``. A Job that succeeded is deleted
        only after Airflow has recorded the success, so that no later try runs its flow again.
    :raises JobSpecError: at parse, the job spec is not what it should be.
    :raises FlowError: at parse, another argument is none of its forms.
    """

    template_fields: Sequence[str] = (
        "job_spec_file",
        "image",
        "flow",
        "parameters",
        "container_overrides",
        "namespace",
        "name",
        "kubernetes_conn_id",
    )
    ui_color = "#326ce5"
    ui_fgcolor = "#fff"
    operator_extra_links = property(links_of)

    job_spec_file: str | None
    template_job_spec: bool
    image: str | None
    flow: Any
    parameters: dict[str, Any] | None
    env: dict[str, str] | None
    container_overrides: dict[str, Any] | None
    namespace: str | None
    name: str | None
    kubernetes_conn_id: str
    deferrable: bool
    defer_after: float | None
    startup_timeout: float | None
    skip_on_exit_code: frozenset[int]
    wait_for: WaitFor
    log_containers: str | Sequence[str]
    logging_interval: float | None
    on_finish: OnFinish
    _job_spec: JobSpec | None = None
    _is_to_end = False

    def __init__(
        self,
        *,
        job_spec_file: str | None = None,
        job_spec: KubernetesObject | None = None,
        template_job_spec: bool = False,
        image: str | DockerStorage | None = None,
        flow: str | list[str] | Flow | None = None,
        parameters: dict[str, Any] | None = None,
        env: dict[str, str] | list[dict[str, str]] | None = None,
        container_overrides: dict[str, Any] | None = None,
        namespace: str | None = None,
        name: str | None = None,
        kubernetes_conn_id: str = "kubernetes_default",
        deferrable: bool | None = None,
        defer_after: float | None = None,
        startup_timeout: float | None = 600,
        skip_on_exit_code: int | Collection[int] | None = None,
        wait_for: WaitFor = "job",
        log_containers: str | Sequence[str] = "flow",
        logging_interval: float | None = None,
        on_finish: OnFinish = "keep",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        task_id = self.task_id
        with _WITHOUT_FRAMES:
            if job_spec is not None or env is not None:
                check_default_args(self.get_dag(), job_spec=job_spec, env=env)
            # All at once: Airflow's __setattr__ has nothing to do with them yet, and takes as long
            # for each as the whole of this.
            vars(self).update(
                job_spec_file=job_spec_file,
                template_job_spec=template_job_spec,
                image=image if type(image) is str else read_image(task_id, image),
                # Airflow renders it in place, and gives one to all the operators of a mapped task.
                flow=flow if type(flow) is list or not isinstance(flow, Flow) else copy.copy(flow),
                parameters=parameters,
                env=env and read_env(task_id, env),
                container_overrides=container_overrides,
                namespace=namespace,
                name=name,
                kubernetes_conn_id=kubernetes_conn_id,
                deferrable=default_deferrable() if deferrable is None else deferrable,
                defer_after=defer_after,
                startup_timeout=startup_timeout,
                skip_on_exit_code=read_exit_codes(task_id, skip_on_exit_code),
                wait_for=wait_for,
                log_containers=log_containers,
                logging_interval=logging_interval,
                on_finish=on_finish,
            )
            waiting = startup_timeout, logging_interval, on_finish, wait_for, log_containers
            if waiting != _DEFAULTS:
                check_waiting(task_id, *waiting)
            if defer_after is not None:
                check_number(task_id, "defer_after", defer_after)
            if parameters is not None:
                check_parameters(task_id, parameters)
            if container_overrides is not None:
                check_container_overrides(task_id, container_overrides)
            if (job_spec_file is None) == (job_spec is None):
                raise JobSpecError(f"task {task_id!r}: give either job_spec_file or job_spec")
            if job_spec is not None:
                self._job_spec = take_job_spec(job_spec, template_job_spec)
            if type(flow) is not list and not hasattr(flow, "resolve"):
                as_flow(flow)  # an XComArg has its value when the task runs
            if env:
                _depend_on_xcoms_of(self, self.env)

    @classmethod
    def partial(cls, **kwargs: Any) -> Any:
        """Map over arguments, as every operator does.

        :raises JobSpecError: a ``job_spec`` is given, which Airflow would store in its database.
        """
        with _WITHOUT_FRAMES:
            check_partial(kwargs)
            if "image" in kwargs:
                kwargs["image"] = read_image(kwargs["task_id"], kwargs["image"])
        return CheckedPartial.of(super().partial(**kwargs))

    def prepare_template(self) -> None:
        """Check the job spec when the DAG is parsed and knows its file (Airflow calls this)."""
        file = self.job_spec_file
        if type(file) is str and not has_jinja(file):
            check_job_spec(self, file, self.template_job_spec)

    def render_template_fields(self, context: Context, jinja_env: Any = None) -> None:
        """Render the template fields; a ``Flow`` is copied first, as Airflow renders in place."""
        self.flow = copy.copy(self.flow)
        super().render_template_fields(context, jinja_env)

    def execute(self, context: Context) -> Any:
        """Run the flow and return its result.

        :raises AirflowFailException: it failed, and no retry can heal the cause.
        :raises FlowRunFailedError: the flow failed.
        :raises ClusterError: the cluster gave no usable answer.
        :raises TaskDeferred: the triggerer is to wait for it.
        """
        with self._enter(context) as task_try:
            return hand_on(self, task_try.execute())

    def execute_complete(
        self,
        context: Context,
        event: dict[str, Any] | None = None,
        deadline: float | None = None,
    ) -> Any:
        """Go on where the trigger ended: fetch the log, push XCom, return the result.

        :param event: what ``FlowJobTrigger`` fired.
        :param deadline: when the task times out (seconds since the epoch), None: never.
        """
        with self._enter(context) as task_try:
            return hand_on(self, task_try.complete(event or {}, deadline))

    def resume_execution(
        self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context
    ) -> Any:
        """Go on also where the trigger failed or timed out (Airflow calls this)."""
        if next_method != _TRIGGER_FAILED:
            with _WITHOUT_FRAMES:
                return super().resume_execution(next_method, next_kwargs, context)
        with self._enter(context) as task_try:
            return hand_on(self, task_try.resume(next_kwargs or {}))

    def on_kill(self) -> None:
        """Delete the Job if the task was ended in Airflow, keep it if only the worker goes away."""
        self._is_to_end = True
        if self._task_try is not None:
            self._task_try.on_kill()

    def flow_parameters(self, context: Context) -> Mapping[str, Any]:
        """Return the flow's parameters; the template fields are rendered already."""
        return self.parameters or {}

    def loaded_job_spec(self) -> JobSpec:
        """Return the job spec; one that was loaded when the DAG was parsed is not read again.

        :raises JobSpecError: it is not what it should be.
        """
        file, is_templated = str(self.job_spec_file), self.template_job_spec
        return self._job_spec or load_job_spec(self, file, is_templated)

    def _enter(self, context: Context) -> TaskTry:
        from flowjob.hooks.prefect import flow_connection
        from flowjob.worker.task_try import TaskTry

        self._task_try = TaskTry(context, self.log, partial(arguments_of, self), flow_connection)
        if self._is_to_end:
            # It was too early for a try: the modules were just being imported.
            self._task_try.on_kill()
        return self._task_try


def _depend_on_xcoms_of(operator: FlowJobOperator, env: Any) -> None:
    """Do for ``env``, which is no template field, what Airflow does for those."""
    from airflow.sdk.definitions.xcom_arg import XComArg

    XComArg.apply_upstream_relationship(operator, env)
