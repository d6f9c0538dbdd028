"""What a task waits in, worker or triggerer, makes no difference to what it tells."""

from __future__ import annotations

import re
from urllib.parse import unquote

import pytest

from tests.airflow.test_examples import EXAMPLES
from tests.support.airflow.instance import AirflowInstance

pytestmark = pytest.mark.usefixtures("own_node")


@pytest.mark.parametrize(
    ("dag_id", "task_id"),
    [*((dag_id, example[0]) for dag_id, example in EXAMPLES.items()), ("nightly_sales", "sales")],
)
def test_an_example_gives_the_same_xcom_and_log_in_both_modes(
    airflow: AirflowInstance, deferring_airflow: AirflowInstance, dag_id: str, task_id: str
) -> None:
    date = "2026-02-03T00:00:00Z" if dag_id == "nightly_sales" else None
    told = []
    instances = (airflow, deferring_airflow)
    run_ids = [instance.client.trigger(dag_id, logical_date=date) for instance in instances]
    for instance, run_id in zip(instances, run_ids, strict=True):
        client = instance.client
        assert client.wait_for_run(dag_id, run_id) == "success"
        xcoms = client.xcoms(dag_id, run_id, task_id)
        assert xcoms.pop("flow_run_id")
        assert xcoms.pop("job_name")
        assert run_id in unquote(xcoms.pop("_link_FlowRunsLink"))
        # The addresses have the Job's own names and times.
        assert xcoms.pop("_link_KubernetesLink")
        assert xcoms.pop("_link_LogsLink")
        assert xcoms["outcome"].pop("pod")
        assert xcoms["outcome"].pop("started_at") <= xcoms["outcome"].pop("finished_at")
        messages = client.log_messages(dag_id, run_id, task_id)
        lines = [
            re.sub(r"\d\d:\d\d:\d\d", "(time)", message["event"])
            for message in messages
            if isinstance(message, dict)
            and (message.get("logger") or "").endswith("FlowJobOperator")
        ]
        deferred = "Pausing task as DEFERRED" in client.log(dag_id, run_id, task_id)
        assert deferred == (instance is deferring_airflow)
        told.append((xcoms, lines))
    assert told[0] == told[1]
    assert len(told[0][1]) >= 2
