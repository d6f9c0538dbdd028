"""What a flow run asks the API server for, from its task's start to its end."""

from __future__ import annotations

import pytest

from tests.support.airflow.instance import AirflowInstance
from tests.support.audit import AuditLog

pytestmark = pytest.mark.usefixtures("own_node")


@pytest.mark.parametrize("dag_id", ["exactly_one", "waits_first_deferrable"])
def test_a_flow_run_that_ends_in_its_worker_costs_six_requests_at_most(
    airflow: AirflowInstance, audit_log: AuditLog, dag_id: str
) -> None:
    mark = audit_log.position()
    run_id = airflow.client.trigger(dag_id, conf={"waits": "no"})
    assert airflow.client.wait_for_run(dag_id, run_id) == "success"
    requests = audit_log.requests(since=mark, user_agent="flowjob/")
    # The earlier tries, the create, both watches, the log, and what is left of it at the end.
    assert len(requests) <= 6, [f"{each.verb} {each.uri}" for each in requests]
