"""A thousand operators that name one file: what their parse costs, and what Airflow stores."""

from __future__ import annotations

import gc
import json
import os
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

from airflow.sdk import DAG, BaseOperator
from airflow.serialization.serialized_objects import DagSerialization

from flowjob.operators.flow_job import FlowJobOperator
from tests.bench.contenders import JOB, OURS, POD
from tests.bench.result import Measure, RowResult
from tests.bench.row import Row, Size
from tests.support.odd_specs import SPECS

OPERATORS = 1000
_BASE = "BaseOperator"
_FILE = "job_spec.yaml"

Make = Callable[[DAG, str], BaseOperator]


def _flow(dag: DAG, task_id: str) -> BaseOperator:
    return FlowJobOperator(
        task_id=task_id, dag=dag, job_spec_file=_FILE, image="flows:1", flow=["true"]
    )


def _job(dag: DAG, task_id: str) -> BaseOperator:
    # Not above: who only asks which rows there are does not wait for both Kubernetes clients.
    from airflow.providers.cncf.kubernetes.operators.job import KubernetesJobOperator

    operator: BaseOperator = KubernetesJobOperator(
        task_id=task_id,
        dag=dag,
        job_template_file=_FILE,
        image="flows:1",
        cmds=["true"],
        wait_until_job_complete=True,
    )
    return operator


def _pod(dag: DAG, task_id: str) -> BaseOperator:
    from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator

    operator: BaseOperator = KubernetesPodOperator(
        task_id=task_id, dag=dag, image="flows:1", cmds=["true"]
    )
    return operator


def _base(dag: DAG, task_id: str) -> BaseOperator:
    return BaseOperator(task_id=task_id, dag=dag)


_MAKERS: dict[str, Make] = {OURS.name: _flow, JOB.name: _job, POD.name: _pod, _BASE: _base}


def parse(make: Make, dag_file: Path, count: int) -> tuple[float, DAG]:
    """Parse a DAG as Airflow imports it, and return the seconds of CPU that it takes."""
    # When it runs of itself depends on all that the process holds.
    gc.collect()
    gc.disable()
    try:
        began = time.process_time()
        dag = DAG("dag", schedule=None)
        dag.fileloc = str(dag_file)
        for number in range(count):
            make(dag, f"task_{number}")
        dag.resolve_template_files()  # type: ignore[no-untyped-call]
        return time.process_time() - began, dag
    finally:
        gc.enable()


def stored(make: Make, dag_file: Path) -> float:
    """Return the bytes that Airflow stores of one operator."""
    sizes = []
    for count in (1, 101):
        _, dag = parse(make, dag_file, count)
        sizes.append(len(json.dumps(DagSerialization.to_dict(dag))))
    return (sizes[1] - sizes[0]) / 100


def run(size: Size) -> RowResult:
    """Parse all in turns, in this process, which has imported all of them."""
    cpu: dict[str, list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as folder:
        dag_file, spec = Path(folder) / "dag.py", Path(folder) / _FILE
        spec.write_text(SPECS[0])
        # As old as a file in a repository: one that was written just now is not kept.
        os.utime(spec, (0, 0))
        before = Path.cwd()
        try:
            os.chdir(folder)
            for number in range(size.rounds + 1):
                for name, make in _MAKERS.items():
                    seconds, _ = parse(make, dag_file, OPERATORS)
                    if number > 0:
                        cpu[name].append(seconds)
            sizes = {name: (stored(make, dag_file),) for name, make in _MAKERS.items()}
        finally:
            os.chdir(before)
    floor = tuple(cpu.pop(_BASE))
    (base_size,) = sizes.pop(_BASE)
    samples = {name: tuple(values) for name, values in cpu.items()}
    return RowResult(
        (
            Measure(f"parse of {OPERATORS:,} operators: CPU", "s", samples, floor),
            Measure("serialized operator", "bytes", sizes),
        ),
        (
            f"The floor is as many of Airflow's own `BaseOperator`, which stores {base_size:.0f} "
            "bytes each. Ours reads and checks the Job's file when it is parsed, "
            "`KubernetesJobOperator` when it runs.",
        ),
    )


ROW = Row("operators", "A thousand operators", minutes=1, run=run)
