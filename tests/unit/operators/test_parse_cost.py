"""What a DAG file pays for each operator when it is parsed."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from airflow.sdk import DAG, BaseOperator

from flowjob.operators.flow_job import FlowJobOperator
from tests.support.odd_specs import SPECS

OPERATORS = 1000
PARTS = 20
ROUNDS = 30
pytestmark = pytest.mark.alone

Make = Callable[[DAG, str], BaseOperator]


def job_spec(lines: int) -> str:
    variables = "".join(
        f"            - name: VARIABLE_{number}\n              value: value-{number}\n"
        for number in range(lines // 2)
    )
    return "".join((SPECS[0] + variables).splitlines(keepends=True)[:lines])


def parse(make: Make, dag_file: Path) -> list[float]:
    """Parse a DAG as Airflow imports it.

    :returns: the seconds of the CPU's time that each part of it takes.
    """
    # When it runs of itself depends on all that the process holds.
    gc.collect()
    gc.disable()
    try:
        times = [time.process_time()]
        dag = DAG("dag", schedule=None)
        dag.fileloc = str(dag_file)
        for number in range(OPERATORS):
            if number % (OPERATORS // PARTS) == 0:
                times.append(time.process_time())
            make(dag, f"task_{number}")
        times.append(time.process_time())
        dag.resolve_template_files()  # type: ignore[no-untyped-call]
        times.append(time.process_time())
    finally:
        gc.enable()
    return [end - start for start, end in pairwise(times)]


def least(rounds: list[list[float]]) -> float:
    """Add up each part's best round: other programs on the machine disturb the others."""
    return sum((min(part) for part in zip(*rounds, strict=True)), 0.0)


@pytest.mark.parametrize("lines", [20, 131])
def test_a_thousand_operators_that_name_one_file_cost_little_more_than_airflows_own(
    tmp_path: Path, lines: int
) -> None:
    file = tmp_path / "job_spec.yaml"
    file.write_text(job_spec(lines))
    # As old as a file in a repository: one that was written just now is not kept.
    os.utime(file, (0, 0))

    def flow(dag: DAG, task_id: str) -> BaseOperator:
        return FlowJobOperator(
            task_id=task_id, dag=dag, job_spec_file=file.name, image="flows:1", flow=["true"]
        )

    def base(dag: DAG, task_id: str) -> BaseOperator:
        return BaseOperator(task_id=task_id, dag=dag)

    flows, bases = [], []
    for _ in range(ROUNDS):
        flows.append(parse(flow, tmp_path / "dag.py"))
        bases.append(parse(base, tmp_path / "dag.py"))
    ratio = least(flows) / least(bases)
    print(f"{least(flows):.3f} s, BaseOperator {least(bases):.3f} s: {ratio:.2f}")
    assert ratio <= 1.3
