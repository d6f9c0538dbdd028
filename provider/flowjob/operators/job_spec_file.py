"""Where an operator's job spec is."""

from __future__ import annotations

import os
from functools import lru_cache

from airflow.sdk import BaseOperator

from flowjob.exceptions import JobSpecError, JobSpecMissingError
from flowjob.spec.job_spec import JobSpec


def load_job_spec(operator: BaseOperator, file: str) -> JobSpec:
    """Load the job spec from beside the DAG file, or from the DAG's ``template_searchpath``.

    :param file: its path, relative to one of these or absolute.
    :raises JobSpecError: there is none, or it is not what it should be.
    """
    dag = operator.get_dag()
    searchpath = tuple(dag.template_searchpath or ()) if dag else ()
    candidates = _candidates(file, dag.fileloc if dag else "", searchpath)
    for path in candidates:
        try:
            return JobSpec.from_file(path)
        except JobSpecMissingError:
            continue
    places = ", ".join(dict.fromkeys(candidates))
    raise JobSpecError(f"task {operator.task_id!r}: no job spec at {places}")


@lru_cache
def _candidates(file: str, dag_file: str, searchpath: tuple[str, ...]) -> list[str]:
    """Return where a job spec may be; joined to an absolute path, a folder gives that path."""
    return [os.path.join(folder, file) for folder in (os.path.dirname(dag_file), *searchpath)]
