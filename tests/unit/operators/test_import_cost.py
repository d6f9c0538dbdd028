"""What a DAG file pays for importing the operator."""

from __future__ import annotations

import json
import subprocess
import sys

SCRIPT = """
import json, sys
import airflow.sdk
from airflow.sdk import DAG, BaseOperator, BaseHook
before = set(sys.modules)
import flowjob.operators.flow_job
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def modules_loaded_by_the_operator() -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True
    )
    modules: list[str] = json.loads(done.stdout.splitlines()[-1])
    return modules


def test_importing_the_operator_loads_no_kubernetes_client_and_no_provider() -> None:
    loaded = modules_loaded_by_the_operator()
    assert "flowjob.operators.flow_job" in loaded
    heavy = ("kubernetes", "airflow.providers", "aiohttp", "asyncio")
    assert [name for name in loaded if name.startswith(heavy)] == []
    assert len([name for name in loaded if not name.startswith(("flowjob", "yaml"))]) < 20, loaded
