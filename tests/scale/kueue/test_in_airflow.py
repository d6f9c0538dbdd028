"""Flow runs in Kueue's queues under a real Airflow, in a worker and deferred."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.support.airflow.client import AirflowNotFoundError
from tests.support.airflow.fixtures import NewAirflow
from tests.support.airflow.instance import AirflowInstance
from tests.support.audit import AuditLog
from tests.support.cluster import Cluster
from tests.support.flow_runs import FlowRuns, connect
from tests.support.kueue.queues import Queues, queued_spec
from tests.support.kueue.running import Kueue
from tests.support.wait import wait_for

pytestmark = [
    pytest.mark.usefixtures("own_node"),
    pytest.mark.parametrize("mode", ["worker", "deferred"]),
]

TASK = "flow"
MINUTE = 60


@pytest.fixture(scope="module")
def airflow(new_airflow: NewAirflow) -> Iterator[AirflowInstance]:
    folder = Path(__file__).parent / "dags"
    with new_airflow(on_postgres=True, dags_folders={"queued": folder}) as instance:
        yield instance


@pytest.fixture(scope="module")
def queues(kueue: Kueue, cluster: Cluster, airflow_namespace: str) -> Queues:
    """The queue `nightly` in the namespace of Airflow's connection."""
    made = Queues(cluster.kubeconfig, airflow_namespace)
    made.create()
    return made


class Urgent:
    """A Job that takes the whole quota from what runs."""

    def __init__(self, flow_runs: FlowRuns) -> None:
        self._flow_runs = flow_runs

    def __enter__(self) -> None:
        manifest = self._flow_runs.manifest("sleep 600", queued_spec(priority="urgent"))
        self._job = self._flow_runs.create(manifest)

    def __exit__(self, *_: object) -> None:
        self._flow_runs.loop.run(self._flow_runs.cluster.delete_job(self._job))


@pytest.fixture
def urgent(
    cluster: Cluster, airflow_namespace: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Urgent]:
    connection = connect(cluster.kubeconfig, monkeypatch)
    with FlowRuns(connection, airflow_namespace, cluster.shell_image) as flow_runs:
        yield Urgent(flow_runs)


def names_left(batch_v1: Any, queues: Queues, namespace: str) -> set[str]:
    """Return whose Jobs, and Workloads, there are."""
    jobs = {job.metadata.name for job in batch_v1.list_namespaced_job(namespace).items}
    owners = [each["metadata"].get("ownerReferences") or [] for each in queues.workloads()]
    return jobs | {owner["name"] for each in owners for owner in each}


def told(airflow: AirflowInstance, dag_id: str, run_id: str, words: str) -> Callable[[], bool]:
    def is_told() -> bool:
        # The task may not be there yet.
        with suppress(AirflowNotFoundError):
            return words in airflow.client.log(dag_id, run_id, TASK)
        return False

    return is_told


@pytest.mark.usefixtures("queues")
def test_a_flow_that_is_preempted_is_one_try_and_one_job_with_each_line_once(
    airflow: AirflowInstance,
    urgent: Urgent,
    audit_log: AuditLog,
    mode: str,
) -> None:
    client, dag_id, since = airflow.client, f"queued_{mode}", audit_log.position()
    run_id = client.trigger(dag_id)
    wait_for(told(airflow, dag_id, run_id, "runs the flow on node"), "the first pod", MINUTE)
    with urgent:
        words = "waits in queue nightly: "
        wait_for(told(airflow, dag_id, run_id, words), "a word about the queue", MINUTE)
    assert client.wait_for_run(dag_id, run_id) == "success"
    task = client.task_instance(dag_id, run_id, TASK)
    assert task["try_number"] == 1
    log = client.log(dag_id, run_id, TASK)
    assert (log.count("the first pod"), log.count("the second pod")) == (1, 1)
    assert log.count("runs the flow on node") == 2
    xcoms = client.xcoms(dag_id, run_id, TASK)
    assert (xcoms["status"], xcoms["outcome"]["exit_code"]) == ("succeeded", 0)
    created = [
        request
        for request in audit_log.requests(since=since, verb="create", resource="jobs")
        if request.user_agent.startswith("flowjob/") and request.code == 201
    ]
    # Its own, and the urgent one.
    assert len(created) == 2


def test_a_flow_whose_queue_there_is_not_fails_with_kueues_sentence(
    airflow: AirflowInstance, queues: Queues, batch_v1: Any, airflow_namespace: str, mode: str
) -> None:
    dag_id = f"never_admitted_{mode}"
    run_id = airflow.client.trigger(dag_id)
    assert airflow.client.wait_for_run(dag_id, run_id) == "failed"
    log = airflow.client.log(dag_id, run_id, TASK)
    assert "not admitted in queue absent: LocalQueue absent doesn't exist" in log
    assert "it has not been admitted in 10 s" in log
    assert "what to do: create the LocalQueue" in log
    job_name = airflow.client.xcoms(dag_id, run_id, TASK)["job_name"]
    wait_for(
        lambda: job_name not in names_left(batch_v1, queues, airflow_namespace), "the Job to go"
    )


def test_a_flow_that_is_marked_failed_in_its_queue_leaves_neither_job_nor_workload(
    airflow: AirflowInstance,
    queues: Queues,
    urgent: Urgent,
    batch_v1: Any,
    airflow_namespace: str,
    mode: str,
) -> None:
    client, dag_id = airflow.client, f"queued_{mode}"
    with urgent:
        run_id = client.trigger(dag_id)
        words = "waits in queue nightly: "
        wait_for(told(airflow, dag_id, run_id, words), "a word about the queue", MINUTE)
        job_name = client.xcoms(dag_id, run_id, TASK)["job_name"]
        assert job_name in names_left(batch_v1, queues, airflow_namespace)
        client.set_state(dag_id, run_id, TASK, "failed")
        wait_for(
            lambda: job_name not in names_left(batch_v1, queues, airflow_namespace),
            "the Job and its Workload to go",
            MINUTE,
        )


@pytest.mark.usefixtures("queues")
def test_beside_the_providers_operator_a_flow_run_survives_its_time_in_the_queue(
    airflow: AirflowInstance, urgent: Urgent, mode: str
) -> None:
    client = airflow.client
    runs = {dag_id: "" for dag_id in (f"queued_{mode}", f"peer_{mode}")}
    with urgent:
        for dag_id in runs:
            runs[dag_id] = client.trigger(dag_id)
        words = "waits in queue nightly: "
        ours, peers = runs
        wait_for(told(airflow, ours, runs[ours], words), "a word about the queue", MINUTE)
        # It looks for a pod right after it has created the Job, and there is none yet.
        assert client.wait_for_run(peers, runs[peers]) == "failed"
        assert "No pods running with labels" in client.log(peers, runs[peers], TASK)
        assert client.dag_run(ours, runs[ours])["state"] == "running"
    client.set_run_state(ours, runs[ours], "failed")
