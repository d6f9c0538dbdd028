"""A flow over one day, which leaves a line for each time it ran; of some days it fails.

The second DAG is the same for the form in Airflow's UI.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from typing import Any

from airflow.sdk import DAG
from airflow.timetables.interval import CronDataIntervalTimetable

from flowjob.operators.flow_job import FlowJobOperator

SCRIPT = """
start="$AIRFLOW_CTX_DATA_INTERVAL_START"
echo "$AIRFLOW_CTX_DAG_ID $start $AIRFLOW_CTX_DATA_INTERVAL_END $FLOW_RUN_ID" >> /effects/lines
case " $FAILING_DAYS " in *" $DAY "*) exit 1 ;; esac
echo "\\"$start\\"" > $FLOW_RESULT_PATH
"""
SPEC: dict[str, Any] = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {"name": "fortnight"},
    "spec": {
        "backoffLimit": 0,
        "template": {
            "spec": {
                "containers": [
                    {
                        "name": "flow-container",
                        "volumeMounts": [{"name": "effects", "mountPath": "/effects"}],
                    }
                ],
                "volumes": [
                    {"name": "effects", "hostPath": {"path": os.environ.get("FLOW_EFFECTS", "/x")}}
                ],
            }
        },
    },
}

for dag_id in ("fortnight", "three_days"):
    with DAG(
        dag_id,
        # Airflow's own reading of "@daily" has intervals of no length.
        schedule=CronDataIntervalTimetable("@daily", timezone="UTC"),
        start_date=datetime(2026, 1, 1, tzinfo=UTC),
        # It is over, so that it has no runs but those of backfills.
        end_date=datetime(2026, 6, 1, tzinfo=UTC),
        catchup=False,
    ):
        FlowJobOperator(
            task_id="flow",
            job_spec=SPEC,
            image=os.environ.get("FLOW_IMAGE"),
            flow=["sh", "-c", SCRIPT],
            env={"DAY": "{{ ds }}", "FAILING_DAYS": "{{ var.value.get('failing_days', '') }}"},
        )
