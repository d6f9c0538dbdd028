"""Flows that write what no database and no log takes."""

from __future__ import annotations

import os
from itertools import product

from airflow.sdk import DAG

from flowjob.operators.flow_job import FlowJobOperator

SCRIPTS = {
    "nul_result": r"printf '\000' > $FLOW_RESULT_PATH",
    "nul_in_json": r"""printf '{"rows": "\\u0000"}' > $FLOW_RESULT_PATH""",
    "nul_in_error": r"printf 'it broke\000here\033[31m' > $FLOW_RESULT_PATH; exit 3",
    "bytes_in_log": r"printf 'begin \000\377\355\240\200\b\r\033[2J end\n'; printf '\000'",
}
WAITS = {
    "in_the_worker": (False, "specs/plain.yaml"),
    "where_the_pod_stays": (True, "specs/plain.yaml"),
    "where_the_pod_goes": (True, "specs/goes.yaml"),
}

with DAG("hostile", schedule=None):
    for (name, script), (waits, (deferrable, spec)) in product(SCRIPTS.items(), WAITS.items()):
        FlowJobOperator(
            task_id=f"{name}_{waits}",
            deferrable=deferrable,
            job_spec_file=spec,
            image=os.environ.get("FLOW_IMAGE"),
            flow=["sh", "-c", script],
        )
