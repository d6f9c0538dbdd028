"""What OpenLineage is told of a flow run, by its real provider."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from tests.support.airflow.instance import AirflowInstance
from tests.support.cluster import Cluster
from tests.support.open_lineage import open_lineage_packages

pytestmark = pytest.mark.skipif(
    metadata.version("apache-airflow-core").startswith("3.1."),
    reason="the provider needs a common-compat provider that is newer",
)


def test_open_lineage_hears_which_job_runs_in_which_image_and_nothing_of_env(
    airflow: AirflowInstance, cluster: Cluster, tmp_path: Path
) -> None:
    airflow.client.wait_for_dag("dummy_first_container")
    events_file = tmp_path / "events"
    transport = {"type": "file", "log_file_path": str(events_file), "append": True}
    done = subprocess.run(
        [sys.executable, "-m", "airflow", "dags", "test", "dummy_first_container"],
        env={
            **airflow.environment,
            "PYTHONPATH": str(open_lineage_packages()),
            "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(transport),
            "AIRFLOW__OPENLINEAGE__NAMESPACE": "flows",
        },
        cwd=airflow.home,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    text = events_file.read_text()
    events = [json.loads(line) for line in text.splitlines()]
    told = {event["eventType"]: event for event in events if "flowJob" in event["run"]["facets"]}
    assert set(told) == {"START", "COMPLETE"}, text

    started, completed = (facet(told[kind]) for kind in ("START", "COMPLETE"))
    known = {
        "kubernetesConnId": "kubernetes_default",
        "image": cluster.flow_image,
        "flow": "CommandFlow",
    }
    assert started == known
    last = airflow.client.dag_runs("dummy_first_container")[-1]
    xcoms = airflow.client.xcoms("dummy_first_container", last["dag_run_id"], "flow")
    assert completed == {
        **known,
        "namespace": xcoms["namespace"],
        "jobName": xcoms["job_name"],
        "flowRunId": xcoms["flow_run_id"],
        "apiServer": completed["apiServer"],
    }
    assert completed["apiServer"].startswith("https://")
    # What stands in the spec's env, and in the operator's.
    assert "MY_ENV" not in json.dumps(completed)
    assert "RUN_ID" not in text


def facet(event: dict[str, Any]) -> dict[str, Any]:
    """Return what the event has of ours, of that which is known."""
    found: dict[str, Any] = event["run"]["facets"]["flowJob"]
    return {
        name: value
        for name, value in found.items()
        if not name.startswith("_") and value is not None
    }
