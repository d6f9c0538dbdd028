"""Flow runs with something to hide; the markers stand in no DAG file."""

from __future__ import annotations

import os
from itertools import product

from airflow.sdk import DAG

from flowjob.flows import PrefectCloudFlow
from flowjob.operators.flow_job import FlowJobOperator

ENDS = {
    "succeeds": ["sh", "-c", '[ "$OF_SPEC" = "$PASSWORD" ] && echo password $PASSWORD'],
    "fails": ["sh", "-c", "echo password $PASSWORD; exit 1"],
    "has_bad_result": ["sh", "-c", "echo not json > $FLOW_RESULT_PATH"],
    "refused": ["true"],
}

# The exit codes of flows that print their key.
KEYED_ENDS = {"keyed_succeeds": 0, "keyed_fails": 1}
IMAGE = os.environ.get("FLOW_IMAGE")

with DAG("private", schedule=None, params={"image": IMAGE or ""}):
    for (name, command), deferrable in product(ENDS.items(), (False, True)):
        FlowJobOperator(
            task_id=f"{name}_deferred" if deferrable else name,
            deferrable=deferrable,
            job_spec_file="specs/refused.yaml" if name == "refused" else "specs/private.yaml",
            template_job_spec=True,
            image=IMAGE,
            flow=command,
            env={"PASSWORD": "{{ conn.vault.password }}", "RENDERED": "{{ var.value.marker }}"},
        )
    for (name, exit_code), deferrable in product(KEYED_ENDS.items(), (False, True)):
        FlowJobOperator(
            task_id=f"{name}_deferred" if deferrable else name,
            deferrable=deferrable,
            job_spec_file="specs/keyed.yaml",
            template_job_spec=True,
            image=IMAGE,
            flow=PrefectCloudFlow("prefect_private"),
            env={"EXIT_CODE": str(exit_code)},
        )
