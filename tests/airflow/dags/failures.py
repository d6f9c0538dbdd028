"""Flow runs that fail, with retries to see which of them are tried again."""

from __future__ import annotations

import os
from datetime import timedelta

from airflow.sdk import DAG

from flowjob.operators.flow_job import FlowJobOperator

IMAGE = os.environ.get("FLOW_IMAGE")

with DAG("failures", schedule=None, default_args={"retries": 1, "retry_delay": timedelta(0)}):
    FlowJobOperator(
        task_id="second_try_succeeds",
        job_spec_file="specs/plain.yaml",
        image=IMAGE,
        flow=["sh", "-c", 'echo this is try $AIRFLOW_CTX_TRY_NUMBER; test "$FLOW_PARAMETERS" = 2'],
        parameters=None,
        env={"FLOW_PARAMETERS": "{{ ti.try_number }}"},
        container_overrides={"resources": {"limits": {"memory": "{{ 64 * ti.try_number }}Mi"}}},
    )
    FlowJobOperator(
        task_id="bad_result",
        job_spec_file="specs/plain.yaml",
        image=IMAGE,
        flow=["sh", "-c", "echo not json > $FLOW_RESULT_PATH"],
    )
    FlowJobOperator(
        task_id="refused", job_spec_file="specs/refused.yaml", image=IMAGE, flow=["true"]
    )
    FlowJobOperator(
        task_id="misspelt", job_spec_file="specs/misspelt.yaml", image=IMAGE, flow=["true"]
    )
    FlowJobOperator(task_id="jinja_in_spec", job_spec_file="specs/jinja.yaml", flow=["true"])
    FlowJobOperator(
        task_id="undefined_in_env",
        job_spec_file="specs/plain.yaml",
        image=IMAGE,
        flow=["true"],
        env={"ABSENT": "{{ absent }}"},
    )
    for connection in ("absent", "broken"):
        FlowJobOperator(
            task_id=f"{'unknown' if connection == 'absent' else 'broken'}_connection",
            job_spec_file="specs/plain.yaml",
            image=IMAGE,
            flow=["true"],
            kubernetes_conn_id=connection,
            retries=0,
        )
    FlowJobOperator(
        task_id="many_pods",
        job_spec_file="specs/many_pods.yaml",
        image=IMAGE,
        flow=["true"],
        wait_for="flow",
    )
    FlowJobOperator(task_id="no_image", job_spec_file="specs/plain.yaml", image="", flow=["true"])
    FlowJobOperator(
        task_id="default_flow", job_spec_file="specs/plain.yaml", image=IMAGE, retries=0
    )
    FlowJobOperator(
        task_id="skipped",
        job_spec_file="specs/plain.yaml",
        image=IMAGE,
        flow=["sh", "-c", "exit 99"],
        skip_on_exit_code=[98, 99],
    )
    for mode in ("", "_deferred"):
        FlowJobOperator(
            task_id=f"no_such_image{mode}",
            job_spec_file="specs/plain.yaml",
            image="127.0.0.1:1/x",
            flow=["true"],
            startup_timeout=6,
            retries=0,
            deferrable=bool(mode),
        )
    FlowJobOperator(
        task_id="times_out",
        job_spec_file="specs/plain.yaml",
        image=IMAGE,
        flow=["sleep", "60"],
        execution_timeout=timedelta(seconds=8),
        retries=0,
    )
