"""Deferred flow runs whose logs are not there for ever."""

from __future__ import annotations

import os

from airflow.sdk import DAG

from flowjob.operators.flow_job import FlowJobOperator

IMAGE = os.environ.get("FLOW_IMAGE")
COUNT = 'i=0; while [ $i -lt 150 ]; do echo "line $i"; i=$((i+1)); sleep 0.1; done'
DEADLINE = (
    "trap 'echo asked to end; exit 0' TERM; "
    'i=0; while [ $i -lt 200 ]; do echo "line $i"; i=$((i+1)); done; sleep 60 & wait'
)
RESTARTS = "echo x >> /tries/n; n=$(wc -l < /tries/n); echo begin $n; test $n -ge 2"

with DAG("logs", schedule=None, default_args={"deferrable": True}):
    FlowJobOperator(
        task_id="in_parts",
        job_spec_file="specs/plain.yaml",
        image=IMAGE,
        flow=["sh", "-c", COUNT],
        logging_interval=4,
    )
    FlowJobOperator.partial(
        task_id="mapped",
        job_spec_file="specs/plain.yaml",
        image=IMAGE,
        flow=["sh", "-c", f'echo "line $FLOW_PARAMETERS"; {COUNT}'],
        logging_interval=4,
    ).expand(parameters=[{"number": 1}, {"number": 2}])
    FlowJobOperator(
        task_id="deadline",
        job_spec_file="specs/deadline.yaml",
        image=IMAGE,
        flow=["sh", "-c", DEADLINE],
    )
    FlowJobOperator(
        task_id="restarts",
        job_spec_file="specs/restarts.yaml",
        image=IMAGE,
        flow=["sh", "-c", RESTARTS],
    )
