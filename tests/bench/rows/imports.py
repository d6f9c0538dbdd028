"""What a DAG file pays for its import of the operator, each time that it is parsed."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict

from tests.bench.contenders import JOB, OUR_FUNCTION, OURS, POD, POD_FUNCTION
from tests.bench.result import Measure, RowResult
from tests.bench.row import Row, Size

# Airflow's own SDK is what every DAG file imports.
_SCRIPT = """
import importlib, json, sys, time
import psutil
import airflow.sdk
from airflow.sdk import DAG, BaseOperator
def memory(): return psutil.Process().memory_full_info().uss / 2**20
modules, before, began = len(sys.modules), memory(), time.process_time()
importlib.import_module(sys.argv[1])
print(json.dumps({
    "cpu": time.process_time() - began,
    "modules": len(sys.modules) - modules,
    "memory": memory() - before,
}))
"""
_PEERS = "airflow.providers.cncf.kubernetes"
_MODULES = {
    OURS: "flowjob.operators.flow_job",
    JOB: f"{_PEERS}.operators.job",
    POD: f"{_PEERS}.operators.pod",
    OUR_FUNCTION: "flowjob.decorators.flow_job",
    POD_FUNCTION: f"{_PEERS}.decorators.kubernetes",
}


def run(size: Size) -> RowResult:
    """Import each in a process of its own, in turns."""
    found: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    # The first of each writes what Python has compiled.
    for number in range(size.rounds + 1):
        for contender, module in _MODULES.items():
            done = subprocess.run(
                [sys.executable, "-c", _SCRIPT, module], capture_output=True, text=True, check=True
            )
            if number > 0:
                for what, value in json.loads(done.stdout.splitlines()[-1]).items():
                    found[what][contender.name].append(value)

    def measure(name: str, unit: str, what: str) -> Measure:
        samples = {contender: tuple(values) for contender, values in found[what].items()}
        return Measure(name, unit, samples)

    return RowResult(
        (
            measure("import over airflow.sdk: CPU", "s", "cpu"),
            measure("import over airflow.sdk: modules", "modules", "modules"),
            measure("import over airflow.sdk: own memory (USS)", "MiB", "memory"),
        )
    )


ROW = Row("imports", "The import of an operator", minutes=2, run=run)
