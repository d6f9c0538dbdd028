"""Where an operator's job spec is."""

from __future__ import annotations

from pathlib import Path

from airflow.sdk import BaseOperator

from flowjob.exceptions import JobSpecError
from flowjob.spec.job_spec import JobSpec


def load_job_spec(operator: BaseOperator, file: str) -> JobSpec:
    """Load the job spec from beside the DAG file, or from the DAG's ``template_searchpath``.

    :param file: its path, relative to one of these or absolute.
    :raises JobSpecError: there is none, or it is not what it should be.
    """
    dag = operator.get_dag()
    folders = [Path(dag.fileloc).parent] if dag else []
    folders += [Path(folder) for folder in (dag and dag.template_searchpath) or []]
    # Joined to an absolute path, a folder gives that path.
    candidates = [folder / file for folder in folders] or [Path(file)]
    found = next((path for path in candidates if path.exists()), None)
    if found is None:
        places = ", ".join(dict.fromkeys(str(path) for path in candidates))
        raise JobSpecError(f"task {operator.task_id!r}: no job spec at {places}")
    return JobSpec.from_file(found)
