"""Where an operator's job spec is."""

from __future__ import annotations

import os
import threading
import warnings
import weakref
from collections.abc import Callable
from functools import lru_cache

from airflow.sdk import DAG, BaseOperator

from flowjob.exceptions import JobSpecError, JobSpecMissingError, JobSpecWarning
from flowjob.kubernetes_object import KubernetesObject
from flowjob.spec.job_spec import JobSpec


def load_job_spec(operator: BaseOperator, file: str, is_templated: bool) -> JobSpec:
    """Load the job spec from beside the DAG file, or from the DAG's ``template_searchpath``.

    :param file: its path, relative to one of these or absolute.
    :param is_templated: see ``JobSpec.from_file``.
    :raises JobSpecError: there is none, or it is not what it should be.
    """
    dag = operator.get_dag()
    searchpath = tuple(dag.template_searchpath or ()) if dag else ()
    candidates = _candidates(file, dag.fileloc if dag else "", searchpath)
    for path in candidates:
        try:
            return JobSpec.from_file(path, is_templated=is_templated)
        except JobSpecMissingError:
            continue
    places = ", ".join(dict.fromkeys(candidates))
    raise JobSpecError(f"task {operator.task_id!r}: no job spec at {places}")


def check_job_spec(operator: BaseOperator, file: str, is_templated: bool) -> None:
    """Load the job spec for a DAG that is parsed, once for all its operators that name the file.

    :raises JobSpecError: see ``load_job_spec``.
    """
    dag, key = operator.get_dag(), (file, is_templated)
    if dag is not None and _parsed.dag() is dag and key in _parsed.files:
        return
    _warn(load_job_spec(operator, file, is_templated))
    if dag is not None:
        if _parsed.dag() is not dag:
            _parsed.dag, _parsed.files = weakref.ref(dag), set()
        _parsed.files.add(key)


def take_job_spec(manifest: KubernetesObject, is_templated: bool) -> JobSpec:
    """Take a job spec that a DAG file has as a dict.

    :param is_templated: see ``JobSpec.from_file``.
    :raises JobSpecError: it is not what it should be.
    """
    spec = JobSpec.from_dict(manifest, is_templated=is_templated)
    _warn(spec)
    return spec


def _warn(spec: JobSpec) -> None:
    """Warn of what may be meant otherwise; Airflow shows it with the DAG."""
    if (doubt := spec.doubt) is not None:
        warnings.warn(doubt, JobSpecWarning, stacklevel=2)


class _Parsed(threading.local):
    """The DAG that this thread has parsed last, and the files of its operators."""

    def __init__(self) -> None:
        self.dag: Callable[[], DAG | None] = lambda: None
        self.files: set[tuple[str, bool]] = set()


_parsed = _Parsed()


@lru_cache
def _candidates(file: str, dag_file: str, searchpath: tuple[str, ...]) -> list[str]:
    """Return where a job spec may be; joined to an absolute path, a folder gives that path."""
    return [os.path.join(folder, file) for folder in (os.path.dirname(dag_file), *searchpath)]
