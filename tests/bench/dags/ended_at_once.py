"""Thousands of flow runs in one run of a DAG; none of its tasks is ever started."""

from __future__ import annotations

import os

from airflow.sdk import DAG

from flowjob.operators.flow_job import FlowJobOperator

with DAG("ended_at_once", schedule=None):
    FlowJobOperator.partial(
        task_id="flow",
        job_spec_file="../../airflow/dags/specs/suspended.yaml",
        flow=["true"],
        deferrable=True,
    ).expand(parameters=[{"number": number} for number in range(int(os.environ["FLOW_RUNS"]))])
