"""Runs the example DAG that deletes the Jobs which nobody waits for any more."""

from tests.support.airflow.client import AirflowClient
from tests.support.wait import wait_for

_DAG_ID = "flow_job_sweep"


def sweep(client: AirflowClient) -> tuple[list[str], str]:
    """Run the example DAG; return the names of the Jobs that it deleted, and its log."""
    begun = len(client.dag_runs(_DAG_ID))
    client.trigger(_DAG_ID)

    def ended() -> list[str] | None:
        # Unpaused, it is also scheduled, by the hour: a second run may come first.
        runs = client.dag_runs(_DAG_ID)[begun:]
        ids = [run["dag_run_id"] for run in runs if run["state"] == "success"]
        return ids if len(ids) == len(runs) else None

    run_ids = wait_for(ended, "the sweep to end", 60)
    swept = [
        name
        for run_id in run_ids
        for name in client.xcoms(_DAG_ID, run_id, "sweep").get("return_value", [])
    ]
    return swept, "\n".join(client.log(_DAG_ID, run_id, "sweep") for run_id in run_ids)
