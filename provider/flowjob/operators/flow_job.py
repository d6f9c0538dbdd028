"""``FlowJobOperator``: run a flow on a Kubernetes Job that the user wrote."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn, get_args

from airflow.sdk import BaseOperator

from flowjob.exceptions import (
    ClusterError,
    FlowError,
    FlowJobError,
    FlowRunCancelledError,
    FlowRunFailedError,
    JobRefusedError,
    JobSpecError,
)
from flowjob.flow_run import FLOW_RUN_ID_LABEL, FlowRun, TaskInstanceKey
from flowjob.flows import Flow, as_flow
from flowjob.flows.base import FlowConnection, FlowRequest
from flowjob.launch.environment import flow_environment, parameters_json
from flowjob.logs.selection import LogSelection
from flowjob.spec.job_spec import FlowContainer, JobSpec, Manifest
from flowjob.status.job import is_active
from flowjob.status.outcome import (
    CANCELLED,
    FAILED,
    SUCCEEDED,
    Outcome,
    explain_failure,
    parse_result,
)
from flowjob.worker.task_states import airflow_address

if TYPE_CHECKING:
    from airflow.sdk import Context

    from flowjob.worker.session import WorkerSession

OnFinish = Literal["keep", "delete", "delete_succeeded"]
WaitFor = Literal["job", "flow"]

# The XComs by which a worker that resumes knows what an earlier one did.
_JOB_NAME, _NAMESPACE, _LOG_POSITIONS = "job_name", "namespace", "log_positions"
# Airflow resumes a task so when its trigger failed or timed out.
_TRIGGER_FAILED, _TRIGGER_TIMEOUT = "__fail__", "Trigger timeout"
# What stands for a secret where a Job is shown.
MASK = "***"
# A Job that Kubernetes may delete so soon (in seconds) is not there for a later try to find.
_SHORT_TTL = 600


class FlowJobOperator(BaseOperator):
    """Run a flow on a Kubernetes Job and carry its result back to Airflow.

    It loads the job spec, overrides its first container and two labels, creates the Job, waits
    for its end while the flow's log lines come into the task's log, and pushes the XComs
    ``flow_run_id``, ``job_name``, ``namespace``, ``status`` and ``outcome``. The flow's own
    result is the ``return_value``.

    :param job_spec_file: path of the Job spec (YAML): beside the DAG file, absolute, or on the
        DAG's ``template_searchpath``. It is loaded when the DAG is parsed; one with Jinja in it
        when the task runs. (templated)
    :param job_spec: the Job spec as a dict, in place of a file.
    :param image: image of the flow container, ``registry_url/image_name:image_tag``; default: the
        one that the spec's first container has. (templated)
    :param flow: what the flow container runs: ``"package.module:callable"``, a command as a list,
        or a ``Flow`` of ``flowjob.flows``; default: ``PrefectCloudFlow()``, the contract of
        Prefect's KubernetesJobEnvironment. (templated)
    :param parameters: the flow's parameters, JSON values by name. (templated)
    :param env: environment variables of the flow container, strings by name. Jinja in them is
        rendered, and the result is not stored in Airflow's database as that of a template field
        would be.
    :param namespace: Kubernetes namespace of the Job; default: the spec's, then the
        connection's, then ``default``. (templated)
    :param name: what the Job's name begins with; default: the spec's name. (templated)
    :param kubernetes_conn_id: Airflow connection of the cluster, of type ``kubernetes``.
        (templated)
    :param deferrable: wait in the triggerer, where a waiting flow run takes no worker; default:
        Airflow's ``[operators] default_deferrable``.
    :param startup_timeout: seconds (default 600) that the flow container may take to start, after
        which the task fails with what held it up, and the Job is deleted; None: any number. A
        Job that is suspended on purpose, as by Kueue, is waited for. What cannot heal by itself,
        such as an invalid image name, fails the task at once.
    :param skip_on_exit_code: exit codes of the flow container, one or several, with which the
        task is skipped instead of failed; default: none.
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
        "namespace",
        "name",
        "kubernetes_conn_id",
    )
    ui_color = "#326ce5"
    ui_fgcolor = "#fff"

    def __init__(
        self,
        *,
        job_spec_file: str | None = None,
        job_spec: Manifest | None = None,
        image: str | None = None,
        flow: str | list[str] | Flow | None = None,
        parameters: dict[str, Any] | None = None,
        env: dict[str, str] | None = None,
        namespace: str | None = None,
        name: str | None = None,
        kubernetes_conn_id: str = "kubernetes_default",
        deferrable: bool | None = None,
        startup_timeout: float | None = 600,
        skip_on_exit_code: int | Collection[int] | None = None,
        wait_for: WaitFor = "job",
        log_containers: str | Sequence[str] = "flow",
        logging_interval: float | None = None,
        on_finish: OnFinish = "keep",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.job_spec_file = job_spec_file
        self.image = image
        self.flow = flow
        self.parameters = parameters
        self.env = env
        self.namespace = namespace
        self.name = name
        self.kubernetes_conn_id = kubernetes_conn_id
        self.deferrable = _default_deferrable() if deferrable is None else deferrable
        self.startup_timeout = startup_timeout
        codes = [skip_on_exit_code] if isinstance(skip_on_exit_code, int) else skip_on_exit_code
        self.skip_on_exit_code = frozenset(codes or ())
        self.wait_for = wait_for
        self.log_containers = log_containers
        self.logging_interval = logging_interval
        self.on_finish = on_finish
        self._session: WorkerSession | None = None
        self._is_to_end = False
        for seconds in ("startup_timeout", "logging_interval"):
            self._check_seconds(seconds)
        self._check_choice("on_finish", get_args(OnFinish))
        self._check_choice("wait_for", get_args(WaitFor))
        if isinstance(log_containers, str):
            self._check_choice("log_containers", ("flow", "all"), "or a list of names")
        if (job_spec_file is None) == (job_spec is None):
            raise JobSpecError(f"task {self.task_id!r}: give either job_spec_file or job_spec")
        self._job_spec = JobSpec.from_dict(job_spec) if job_spec is not None else None
        if not hasattr(flow, "resolve"):  # an XComArg has its value when the task runs
            as_flow(flow)
        self._depend_on_xcoms_of_env()

    def _check_seconds(self, name: str) -> None:
        value = getattr(self, name)
        if value is not None and not (isinstance(value, int | float) and value > 0):
            raise FlowError(
                f"task {self.task_id!r}: {name} is {value!r}: give a number of seconds, or None"
            )

    def _check_choice(self, name: str, choices: Sequence[str], more: str = "") -> None:
        value = getattr(self, name)
        if value not in choices:
            told = " ".join(filter(None, (", ".join(choices), more)))
            raise FlowError(f"task {self.task_id!r}: {name} is {value!r}: give one of {told}")

    def _depend_on_xcoms_of_env(self) -> None:
        """Do for ``env``, which is no template field, what Airflow does for those."""
        from airflow.sdk.definitions.xcom_arg import XComArg

        XComArg.apply_upstream_relationship(self, self.env)

    @classmethod
    def partial(cls, **kwargs: Any) -> Any:
        """Map over arguments, as every operator does.

        :raises JobSpecError: a ``job_spec`` is given, which Airflow would store in its database.
        """
        if "job_spec" in kwargs:
            raise JobSpecError(
                "Airflow stores what partial() takes: give a mapped task a job_spec_file"
            )
        return super().partial(**kwargs)

    def prepare_template(self) -> None:
        """Load the job spec when the DAG is parsed and knows its file (Airflow calls this)."""
        if isinstance(self.job_spec_file, str) and not _has_jinja(self.job_spec_file):
            self._job_spec = self._load_job_spec(self.job_spec_file)

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
        return self._in_session(context, self._execute)

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
        return self._in_session(context, self._complete, event or {}, deadline)

    def resume_execution(
        self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context
    ) -> Any:
        """Go on also where the trigger failed or timed out (Airflow calls this)."""
        if next_method != _TRIGGER_FAILED:
            return super().resume_execution(next_method, next_kwargs, context)
        return self._in_session(context, self._resume, next_kwargs or {})

    def on_kill(self) -> None:
        """Delete the Job if the task was ended in Airflow, keep it if only the worker goes away."""
        self._is_to_end = True
        if self._session is not None:
            self._session.on_kill()

    def _in_session(self, context: Context, step: Callable[..., Any], *arguments: Any) -> Any:
        """Do a step of the flow run with a cluster at hand, and tell errors Airflow's way."""
        try:
            # First of all: the secrets in it are masked in every log line from here on.
            env = self._rendered_env(context)

            from flowjob.worker.session import WorkerSession

            spec = self._job_spec or self._load_job_spec(str(self.job_spec_file))
            flow_run = _flow_run(context)
            with WorkerSession(self.kubernetes_conn_id, flow_run, spec, env) as session:
                self._session = session
                return step(context, session, *arguments)
        except FlowJobError as error:
            if error.heals_by_retry:
                raise
            raise _airflow_exception("AirflowFailException")(_masked(str(error))) from None
        finally:
            self._session = None

    def _execute(self, context: Context, session: WorkerSession) -> Any:
        self._check_waiting(session.spec)
        with self._cancellable(context, session):
            if self._is_to_end:
                # It was too early for a session: the cluster's connection was just being loaded.
                session.raise_if_ended()
            manifest = self._manifest(
                context,
                session.spec,
                session.flow_run,
                session.env,
                cluster_namespace=lambda: session.cluster.namespace,
                connect=_flow_connection,
            )
            job = self._launch(session, manifest)
            self._push_job(context, job)
            if self.deferrable and is_active(job):
                seconds = self.execution_timeout and self.execution_timeout.total_seconds()
                self._defer(session, job, time.time() + seconds if seconds else None)
            outcome = self._wait(session, job)
        return self._finish(context, session, job, outcome)

    def _launch(self, session: WorkerSession, manifest: Manifest) -> Manifest:
        try:
            return session.run(session.execution.launch(session.flow_run, manifest))
        except JobRefusedError as error:
            raise session.spec.locate(error) from None

    def _complete(
        self,
        context: Context,
        session: WorkerSession,
        event: dict[str, Any],
        deadline: float | None,
    ) -> Any:
        job: Manifest = event["job"]
        outcome = Outcome(**event["outcome"]) if event.get("outcome") else None
        with self._cancellable(context, session):
            self._collect_log(context, session, job, event)
            if outcome is None:
                metadata = job["metadata"]
                session.run(session.execution.resume(metadata["namespace"], metadata["name"]))
                self._defer(session, job, deadline)
        return self._finish(context, session, job, outcome)

    def _resume(self, context: Context, session: WorkerSession, failure: dict[str, Any]) -> Any:
        """Go on with nothing but our own XCom."""
        name, namespace = (self._own_xcom(context, key) for key in (_JOB_NAME, _NAMESPACE))
        job = session.run(session.execution.resume(namespace, name))
        if job is None:
            told = f"the Job {name!r} was deleted before it was seen to end"
            return self._collect(context, session, Outcome(FAILED, "JobDeleted", told))
        with self._cancellable(context, session):
            if failure.get("error") == _TRIGGER_TIMEOUT:
                self._collect_log(context, session, job, {})
                raise _airflow_exception("AirflowTaskTimeout")("the flow run took too long")
            self.log.warning("The trigger failed, so this worker waits by itself")
            outcome = self._wait(session, job)
        return self._finish(context, session, job, outcome)

    def _wait(self, session: WorkerSession, job: Manifest) -> Outcome:
        """Wait in this worker."""
        from flowjob.wait.until_end import wait_for_outcome

        outcome = wait_for_outcome(
            session.cluster,
            job,
            self._log_line,
            self._log_selection(session.spec),
            startup_timeout=self.startup_timeout,
            wait_for=self.wait_for,
        )
        return session.run(session.execution.wait(outcome))

    def _log_selection(self, spec: JobSpec) -> LogSelection:
        return LogSelection(self.log_containers, by_pod=spec.has_many_pods)

    def _collect_log(
        self, context: Context, session: WorkerSession, job: Manifest, event: dict[str, Any]
    ) -> None:
        """Fetch what the flow wrote since the last time; a log that is gone costs its lines."""
        from flowjob.logs.collect import collect_logs

        ti = context["ti"]
        is_over = not event or bool(event.get("outcome"))
        positions = self._own_xcom(context, _LOG_POSITIONS) or {}
        try:
            positions = session.run(
                collect_logs(
                    session.cluster,
                    job,
                    self._log_selection(session.spec),
                    self._log_line,
                    positions,
                    is_over=is_over,
                    without=event.get("told_pods", ()),
                )
            )
        except ClusterError as error:
            self.log.warning("%s", error)
        if not is_over:
            ti.xcom_push(key=_LOG_POSITIONS, value=positions)

    def _own_xcom(self, context: Context, key: str) -> Any:
        """Pull what an earlier step of this very task instance pushed."""
        ti = context["ti"]
        map_index = -1 if ti.map_index is None else ti.map_index
        # Without a map index, those of all the task's map indexes would come.
        return ti.xcom_pull(task_ids=self.task_id, key=key, map_indexes=map_index)

    @contextmanager
    def _cancellable(self, context: Context, session: WorkerSession) -> Iterator[None]:
        """Delete the Job on a time-out, and say in XCom that the flow run was cancelled."""
        try:
            yield
        except FlowRunCancelledError:
            self._push_outcome(context, _cancelled("Killed", "the task was ended in Airflow"))
            raise
        except _airflow_exception("AirflowTaskTimeout"):
            self.log.info("The task has timed out: deleting its Job")
            session.run(session.execution.kill())
            self._push_outcome(context, _cancelled("TaskTimeout", "the task has timed out"))
            raise

    def _defer(self, session: WorkerSession, job: Manifest, deadline: float | None) -> NoReturn:
        """Let the triggerer wait."""
        from flowjob.triggers.flow_job import FlowJobTrigger

        # Airflow tells nobody of a task that is ended in the moment before it defers.
        session.raise_if_ended()
        metadata = job["metadata"]
        trigger = FlowJobTrigger(
            kubernetes_conn_id=self.kubernetes_conn_id,
            namespace=metadata["namespace"],
            job_name=metadata["name"],
            job_uid=metadata["uid"],
            flow_run_id=metadata["labels"][FLOW_RUN_ID_LABEL],
            logging_interval=self.logging_interval,
            startup_timeout=self.startup_timeout,
            wait_for=self.wait_for,
            log_containers=(
                self.log_containers
                if isinstance(self.log_containers, str)
                else list(self.log_containers)
            ),
            not_before=time.time() + _shortest_deferral(),
            **asdict(session.flow_run.task_instance),
        )
        self.defer(
            trigger=trigger,
            method_name="execute_complete",
            kwargs={"deadline": deadline},
            timeout=timedelta(seconds=max(deadline - time.time(), 0)) if deadline else None,
        )

    def _finish(
        self, context: Context, session: WorkerSession, job: Manifest, outcome: Outcome
    ) -> Any:
        """Push the outcome, return the result, and delete the Job where that is asked for."""
        try:
            result = self._collect(context, session, outcome)
        except (FlowJobError, _airflow_exception("AirflowSkipException")):
            # Nobody adopts the Job of a try that failed.
            if self.on_finish == "delete" or outcome.job_is_active:
                session.run(session.cluster.delete_job(job))
            raise
        if self.on_finish != "keep" or outcome.job_is_active:
            self._delete_when_success_is_recorded(job)
        return result

    def _delete_when_success_is_recorded(self, job: Manifest) -> None:
        """Delete the Job after Airflow knows of its success: until then a try may adopt it."""

        def delete(_: Context) -> None:
            from flowjob.cluster.api_server import Cluster
            from flowjob.worker.loop_thread import LoopThread

            with LoopThread() as loop, loop.use(Cluster(self.kubernetes_conn_id)) as cluster:
                loop.run(cluster.delete_job(job))

        self.on_success_callback = [*self.on_success_callback, delete]

    def _check_waiting(self, spec: JobSpec) -> None:
        """Say what of the spec does not go with how it is waited for.

        :raises FlowError: it cannot be waited for so.
        """
        if self.wait_for == "flow" and spec.has_many_pods:
            raise FlowError(
                f"task {self.task_id!r}: wait_for='flow' waits for one pod, but the job spec has "
                "parallelism or completions: use wait_for='job'"
            )
        if not isinstance(self.log_containers, str):
            for name in sorted(set(self.log_containers) - set(spec.container_names)):
                self.log.warning("The job spec has no container %r of log_containers", name)
        if spec.ttl is not None and spec.ttl < _SHORT_TTL:
            self.log.warning(
                "ttlSecondsAfterFinished is %s s: should the worker die, a later try may not find "
                "the Job any more and run the flow again; set it to %s s or more",
                spec.ttl,
                _SHORT_TTL,
            )

    def preview(self, context: Context) -> Manifest:
        """Make the Job of a flow run with neither a cluster nor a secret, to be looked at.

        The template fields are rendered already, and ``env`` is not: none of its values is shown.

        :raises FlowJobError: the Job could not be created either.
        """
        from airflow.sdk._shared.secrets_masker import redact

        spec = self._job_spec or self._load_job_spec(str(self.job_spec_file))
        parameters: Any = redact(self.parameters or {})
        self.parameters = parameters
        return self._manifest(
            context,
            spec,
            _flow_run(context),
            dict.fromkeys(self.env or {}, MASK),
            cluster_namespace=lambda: _namespace_of_connection(self.kubernetes_conn_id),
            connect=lambda conn_id: FlowConnection(MASK, MASK),
        )

    def _manifest(
        self,
        context: Context,
        spec: JobSpec,
        flow_run: FlowRun,
        env: Mapping[str, Any],
        *,
        cluster_namespace: Callable[[], str | None],
        connect: Callable[[str], FlowConnection],
    ) -> Manifest:
        """Make the Job of a flow run.

        :param cluster_namespace: tells the namespace that the cluster's connection names, if any.
        :param connect: reads the Airflow connection that the flow asks for.
        """
        namespace = self.namespace or spec.namespace or cluster_namespace() or "default"
        flow = as_flow(self.flow)
        if self.flow is None and spec.has_command:
            self.log.info(
                "No flow is given, so Prefect's command replaces that of the job spec: "
                "set flow=SpecFlow() to run the spec's own"
            )
        image = self.image or spec.image
        if not image:
            raise JobSpecError(
                f"task {self.task_id!r} has no image: give the operator an image, "
                "or the first container of the job spec"
            )
        if _has_jinja(image):
            raise JobSpecError(
                f"the image of task {self.task_id!r} is the Jinja {image!r}: a job spec is not "
                "templated, so give the image to the operator"
            )
        connection = connect(flow.conn_id) if flow.conn_id else None
        request = FlowRequest(flow_run.flow_run_id, image, namespace, connection)
        command = flow.command(request)
        container = FlowContainer(
            image=self.image or None,
            command=command.command,
            args=command.args,
            env=flow_environment(
                flow_run,
                spec,
                parameters=parameters_json(self.parameters or {}),
                airflow=_airflow_variables(context),
                flow=command.env,
                user=env,
            ),
        )
        return spec.for_flow_run(flow_run, container, namespace=namespace, name=self.name)

    def _push_job(self, context: Context, job: Manifest) -> None:
        """Say which Job it is as soon as it exists."""
        metadata = job["metadata"]
        ti = context["ti"]
        ti.xcom_push(key="flow_run_id", value=metadata["labels"][FLOW_RUN_ID_LABEL])
        ti.xcom_push(key=_JOB_NAME, value=metadata["name"])
        ti.xcom_push(key=_NAMESPACE, value=metadata["namespace"])

    def _collect(self, context: Context, session: WorkerSession, outcome: Outcome) -> Any:
        """Push the outcome and return the flow's result."""
        if outcome.message:
            # It may be the flow's own text, such as that of its exception.
            outcome = replace(outcome, message=_masked(outcome.message))
        self._push_outcome(context, outcome)
        if outcome.status != SUCCEEDED and outcome.exit_code in self.skip_on_exit_code:
            skipped = f"exit code {outcome.exit_code} of the flow container skips the task"
            raise _airflow_exception("AirflowSkipException")(skipped)
        if outcome.status != SUCCEEDED:
            lines = self._last_lines(context, session, outcome)
            raise FlowRunFailedError(explain_failure(outcome, lines))
        self.log.info("The flow run succeeded")
        return parse_result(outcome, session.spec.result_limit) if self.do_xcom_push else None

    def _last_lines(self, context: Context, session: WorkerSession, outcome: Outcome) -> list[str]:
        """Read the last lines of the container that failed, if they are still there."""
        from flowjob.logs.collect import last_lines

        if outcome.pod is None:
            return []
        namespace = self._own_xcom(context, _NAMESPACE)
        container = outcome.container or session.spec.flow_container_name
        try:
            lines = session.run(last_lines(session.cluster, namespace, outcome.pod, container))
        except ClusterError as error:
            self.log.warning("%s", error)
            return []
        return [_masked(line) for line in lines]

    def _push_outcome(self, context: Context, outcome: Outcome) -> None:
        ti = context["ti"]
        ti.xcom_push(key="status", value=outcome.status)
        ti.xcom_push(key="outcome", value=outcome.to_dict())

    def _log_line(self, line: str) -> None:
        self.log.info("%s", _masked(line))

    def _rendered_env(self, context: Context) -> dict[str, Any]:
        """Render ``env`` to strings, also in a DAG that renders its templates as native objects."""
        from airflow.sdk.definitions._internal.templater import Templater
        from jinja2 import TemplateError

        templater = Templater()
        templater.template_ext = ()
        jinja_env = context["dag"].get_template_env(force_sandboxed=True)
        try:
            rendered: dict[str, Any] = templater.render_template(self.env or {}, context, jinja_env)
        except TemplateError as error:
            raise FlowError(
                f"the env of task {self.task_id!r} cannot be rendered: {error}: mend its Jinja"
            ) from None
        return rendered

    def _load_job_spec(self, file: str) -> JobSpec:
        """Load the job spec from where DESIGN section 3 says: beside the DAG file, and so on."""
        dag = self.get_dag()
        folders = [Path(dag.fileloc).parent] if dag else []
        folders += [Path(folder) for folder in (dag and dag.template_searchpath) or []]
        # Joined to an absolute path, a folder gives that path.
        candidates = [folder / file for folder in folders] or [Path(file)]
        found = next((path for path in candidates if path.exists()), None)
        if found is None:
            places = ", ".join(dict.fromkeys(str(path) for path in candidates))
            raise JobSpecError(f"task {self.task_id!r}: no job spec at {places}")
        return JobSpec.from_file(found)


def _has_jinja(text: str) -> bool:
    return "{{" in text or "{%" in text


def _default_deferrable() -> bool:
    from airflow.configuration import conf

    return bool(conf.getboolean("operators", "default_deferrable", fallback=False))


def _shortest_deferral() -> float:
    """Return the seconds after which the scheduler knows that this process has ended.

    The supervisor may notice that only at its next heartbeat.
    """
    from airflow.configuration import conf

    return conf.getint("workers", "min_heartbeat_interval", fallback=5) + 5


def _cancelled(reason: str, message: str) -> Outcome:
    return Outcome(CANCELLED, reason=reason, message=message)


def _flow_run(context: Context) -> FlowRun:
    ti, dag_run = context["ti"], context["dag_run"]
    return FlowRun(
        flow_run_id=str(ti.id),
        task_instance=TaskInstanceKey(
            ti.dag_id, ti.run_id, ti.task_id, -1 if ti.map_index is None else ti.map_index
        ),
        airflow=airflow_address(),
        try_number=ti.try_number,
        max_tries=ti.max_tries,
        dag_run_start=dag_run.start_date.isoformat() if dag_run.start_date else "",
    )


def _airflow_variables(context: Context) -> dict[str, str]:
    """Return Airflow's own variables, and the map index and the data interval where there are."""
    from airflow.sdk.execution_time.context import context_to_airflow_vars

    variables: dict[str, str] = context_to_airflow_vars(context, in_env_var_format=True)
    map_index = context["ti"].map_index
    if map_index is not None and map_index >= 0:
        variables["AIRFLOW_CTX_MAP_INDEX"] = str(map_index)
    # A run that was triggered by hand has none.
    if start := context.get("data_interval_start"):
        variables["AIRFLOW_CTX_DATA_INTERVAL_START"] = start.isoformat()
    if end := context.get("data_interval_end"):
        variables["AIRFLOW_CTX_DATA_INTERVAL_END"] = end.isoformat()
    return variables


def _flow_connection(conn_id: str) -> FlowConnection:
    from flowjob.hooks.prefect import PrefectHook

    return PrefectHook(conn_id).get_conn()


def _namespace_of_connection(kubernetes_conn_id: str) -> str | None:
    """Return the namespace that a cluster's connection names, None where it cannot be read."""
    from flowjob.cluster.connection import kubernetes_hook

    try:
        namespace: str | None = kubernetes_hook()(conn_id=kubernetes_conn_id).get_namespace()
    except Exception:
        # Outside of a task, each Airflow says in its own way that there is no such connection.
        return None
    return namespace


def _masked(text: str) -> str:
    """Mask the secrets that Airflow knows.

    Airflow masks the task's log by itself, but not the copy of it that an executor prints.
    """
    from airflow.sdk._shared.secrets_masker import redact

    return str(redact(text))


def _airflow_exception(name: str) -> type[Exception]:
    """Return Airflow's exception from where this Airflow has it."""
    from airflow import exceptions
    from airflow.sdk import exceptions as sdk_exceptions

    exception: type[Exception] = getattr(sdk_exceptions, name, None) or getattr(exceptions, name)
    return exception
