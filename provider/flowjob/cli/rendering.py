"""Show the Job that a task would create: without a cluster, a database or a secret."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import io
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from flowjob.exceptions import FlowJobError
from flowjob.flows import as_flow
from flowjob.flows.base import FlowConnection
from flowjob.kubernetes_object import KubernetesObject
from flowjob.launch.manifest import JobArguments, make_manifests
from flowjob.operators.flow_job import FlowJobOperator
from flowjob.operators.handover import job_spec_of
from flowjob.spec.yaml_file import to_yaml
from flowjob.worker.context import airflow_variables, flow_run_of

if TYPE_CHECKING:
    from airflow.sdk import DAG, Context

# What stands for a secret where a Job is shown.
MASK = "***"
# Nobody's flow run: a real one has its own id.
_FLOW_RUN_ID = "00000000-0000-0000-0000-000000000000"
_COMMENT = f"""\
# The Job of task {{task!r}} of DAG {{dag!r}},
# for a made-up flow run of logical date {{date}}.
# Values that are secret, and those of the operator's env, are masked: {MASK}
"""


class RenderError(FlowJobError):
    """The Job cannot be shown; the message says why."""


def render_job(
    dag_id: str, task_id: str, *, logical_date: datetime | None = None, dag_file: str | None = None
) -> str:
    """Return the Job of a made-up flow run of the task, as YAML.

    :param dag_id: the DAG's id.
    :param task_id: the task's id.
    :param logical_date: the logical date of the run, and both ends of its data interval; default:
        today, in UTC.
    :param dag_file: the file with the DAG; default: it is looked for in all DAG bundles.
    :raises FlowJobError: there is no such task, or its Job depends on what only a run knows.
    """
    midnight = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    date = logical_date or midnight
    # What DAG files and Airflow's log print is not part of the Job, nor of the error's sentence.
    unseen = io.StringIO()
    with contextlib.redirect_stdout(unseen), contextlib.redirect_stderr(unseen):
        operator = _operator(_dag(dag_id, dag_file), task_id)
        try:
            context = _context(operator, date)
            operator.render_template_fields(context)
            job = _preview(operator, context)
        except FlowJobError:
            raise
        except Exception as error:
            # Templates may use anything, and say anything when that is not there.
            raise RenderError(
                f"the Job of task {task_id!r} depends on what only a run knows "
                f"({type(error).__name__}): give its templates values that need no run"
            ) from None
    comment = _COMMENT.format(task=task_id, dag=dag_id, date=date.isoformat())
    return comment + to_yaml(_masked(job))


def _dag(dag_id: str, dag_file: str | None) -> DAG:
    if dag_file and not Path(dag_file).exists():
        raise RenderError(f"there is no file {dag_file}")
    failures: dict[str, str] = {}
    for folder in [Path(dag_file).absolute()] if dag_file else _bundles():
        bag = _dag_bag(folder)
        if dag_id in bag.dags:
            dag: DAG = bag.dags[dag_id]
            return dag
        failures |= bag.import_errors
    where = dag_file or "the DAG bundles"
    if failures:
        file, error = next(iter(failures.items()))
        last_line = (error.strip().splitlines() or [""])[-1]
        raise RenderError(
            f"there is no DAG {dag_id!r} in {where}; {file} fails: {_masked(last_line)}"
        )
    raise RenderError(f"there is no DAG {dag_id!r} in {where}")


def _bundles() -> Iterator[Path]:
    from airflow.dag_processing.bundles.manager import DagBundlesManager

    manager = DagBundlesManager()  # type: ignore[no-untyped-call]
    for bundle in manager.get_all_dag_bundles():
        bundle.initialize()
        if bundle.path.exists():
            yield bundle.path


def _dag_bag(folder: Path) -> Any:
    """Load the DAG files of a folder, with the class from where this Airflow has it."""
    try:
        module = importlib.import_module("airflow.dag_processing.dagbag")
    except ImportError:  # Airflow 3.1
        module = importlib.import_module("airflow.models.dagbag")
    parameters = inspect.signature(module.DagBag).parameters
    without_examples = {"include_examples": False} if "include_examples" in parameters else {}
    return module.DagBag(dag_folder=str(folder), **without_examples)


def _operator(dag: DAG, task_id: str) -> FlowJobOperator:
    task = dag.task_dict.get(task_id)
    if task is None:
        raise RenderError(f"DAG {dag.dag_id!r} has no task {task_id!r}")
    if not isinstance(task, FlowJobOperator):
        mapped = getattr(task, "is_mapped", False)
        hint = "is mapped: its Jobs are known when it runs" if mapped else "is no FlowJobOperator"
        raise RenderError(f"task {task_id!r} of DAG {dag.dag_id!r} {hint}")
    return task


def _context(operator: FlowJobOperator, date: datetime) -> Context:
    """Make the context that Airflow would give to the task's first try."""
    from airflow.sdk.api.datamodels._generated import (
        DagRun,
        DagRunState,
        DagRunType,
        TIRunContext,
    )
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    run_id = f"manual__{date.isoformat()}"
    # Constructed without being checked, as the fields differ from one Airflow to the next.
    dag_run = DagRun.model_construct(
        dag_id=operator.dag_id,
        run_id=run_id,
        logical_date=date,
        data_interval_start=date,
        data_interval_end=date,
        run_after=date,
        start_date=date,
        end_date=None,
        run_type=DagRunType.MANUAL,
        state=DagRunState.RUNNING,
        conf={},
        consumed_asset_events=[],
        partition_key=None,
    )
    retries = operator.retries or 0
    server_context = TIRunContext.model_construct(
        dag_run=dag_run, max_tries=retries, upstream_map_indexes={}
    )
    ti = RuntimeTaskInstance.model_construct(
        id=_FLOW_RUN_ID,
        task=operator,
        task_id=operator.task_id,
        dag_id=operator.dag_id,
        run_id=run_id,
        try_number=1,
        max_tries=retries,
        map_index=-1,
        start_date=date,
        _ti_context_from_server=server_context,
    )
    context: Context = ti.get_template_context()
    return context


def _preview(operator: FlowJobOperator, context: Context) -> KubernetesObject:
    """Make the Job with neither a cluster nor a secret; none of the values of ``env`` is shown.

    :raises FlowJobError: the Job could not be created either.
    """
    from airflow.sdk._shared.secrets_masker import redact

    spec = job_spec_of(operator, context)
    named = operator.namespace or spec.namespace
    manifests = make_manifests(
        flow_run_of(context),
        spec,
        JobArguments(
            image=operator.image,
            flow=operator.flow,
            parameters=cast("dict[str, Any]", redact(dict(operator.flow_parameters(context)))),
            env=dict.fromkeys(operator.env or {}, MASK),
            namespace=named,
            name=operator.name,
        ),
        airflow_variables=airflow_variables(context),
        cluster_namespace=None if named else _namespace_of(operator.kubernetes_conn_id),
        connection=FlowConnection(MASK, MASK) if as_flow(operator.flow).conn_id else None,
    )
    return manifests.job


def _namespace_of(kubernetes_conn_id: str) -> str | None:
    """Return the namespace that a cluster's connection names, None where it cannot be read."""
    from flowjob.cluster.connection import load_connection

    try:
        return load_connection(kubernetes_conn_id).namespace
    except Exception:
        # Outside of a task, each Airflow says in its own way that there is no such connection.
        return None


def _masked(value: Any) -> Any:
    """Mask the secrets that Airflow knows, and the variables that have a secret's name."""
    from airflow.sdk._shared.secrets_masker import redact, should_hide_value_for_key

    if isinstance(value, dict):
        masked: KubernetesObject = {key: _masked(child) for key, child in value.items()}
        hidden = should_hide_value_for_key(value.get("name"))  # type: ignore[no-untyped-call]
        if "value" in value and hidden:
            masked["value"] = MASK
        return masked
    if isinstance(value, list):
        return [_masked(item) for item in value]
    return str(redact(value)) if isinstance(value, str) else value
