"""Shows a run of the example DAG: its states, the flow's log lines as they come, its XComs."""

import json
import os

from tests.support.airflow.client import FINISHED_STATES, AirflowClient, Json

_DAG_ID = "hello_flow"
_TASK_ID = "hello"
# With a cluster of one's own, the image may have to be pulled first.
_TIMEOUT = 600.0 if os.environ.get("KUBECONFIG") else 120.0


def show_run(client: AirflowClient, address: str) -> bool:
    """Run the example DAG as a user would, and tell what happens; return whether it succeeded."""
    print(f"Airflow's web UI: {address}", flush=True)
    run_id = client.trigger(_DAG_ID)
    print(f"Triggered the DAG {_DAG_ID} (run {run_id})")
    print(f"  {address}/dags/{_DAG_ID}/runs/{run_id}", flush=True)
    follower = _Follower(client, run_id)
    client.wait_for(follower.look, f"the run {run_id} to finish", _TIMEOUT, follower.evidence)
    print("XCom of the task:")
    for key, value in sorted(client.xcoms(_DAG_ID, run_id, _TASK_ID).items()):
        print(f"  {key} = {json.dumps(value)}")
    state = client.dag_run(_DAG_ID, run_id)["state"]
    if state != "success":
        print(follower.evidence())
    print(f"The run ended: {state}", flush=True)
    return bool(state == "success")


class _Follower:
    """Tells what is new in a run each time it looks."""

    def __init__(self, client: AirflowClient, run_id: str) -> None:
        self._client = client
        self._run_id = run_id
        self._state: str | None = None
        self._lines_shown = 0

    def look(self) -> bool:
        """Print what is new; return whether the run has finished."""
        # Asked first: once it says that all is over, the log is complete.
        finished = self._client.dag_run(_DAG_ID, self._run_id)["state"] in FINISHED_STATES
        task = self._client.task_instance(_DAG_ID, self._run_id, _TASK_ID)
        if task["state"] not in (self._state, None):
            self._state = task["state"]
            print(f"  [{self._state}]", flush=True)
        if task["try_number"] > 0:
            self._show_log(task["try_number"])
        return finished

    def evidence(self) -> str:
        """Return all that is known of the run."""
        return self._client.run_evidence(_DAG_ID, self._run_id)

    def _show_log(self, try_number: int) -> None:
        messages = self._client.log_messages(_DAG_ID, self._run_id, _TASK_ID, try_number)
        lines = [event for message in messages if (event := _flow_event(message)) is not None]
        for line in lines[self._lines_shown :]:
            print(f"  | {line}", flush=True)
        self._lines_shown = len(lines)


def _flow_event(message: str | Json) -> str | None:
    """Return what the operator or the flow says in a log message, if it is one of theirs."""
    if isinstance(message, str) or "flowjob" not in (message.get("logger") or ""):
        return None
    return str(message["event"])
