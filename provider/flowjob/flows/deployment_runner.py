"""What a ``PrefectDeployment`` runs in the flow container, in the Python that has Prefect.

It runs ``prefect flow-run execute``, which reports to Prefect's API by itself, and hands on the
result that the flow run has persisted. It is sent as text after that of ``flowjob.flows.runner``,
so it needs Python's standard library and Prefect alone.
"""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from typing import Any

from flowjob.flows.runner import (
    RESULT_ERROR,
    finished,
    result_message,
    run_under_init,
    write_message,
)


def final_state() -> Any:
    """Ask Prefect's API for the flow run's state."""
    url = f"{os.environ['PREFECT_API_URL']}/flow_runs/{os.environ['PREFECT__FLOW_RUN_ID']}"
    key = os.environ.get("PREFECT_API_KEY")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - Prefect's own address
    with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
        return json.load(answer)["state"]


def hand_on_result() -> None:
    """Leave the result, where the flow run persists one, as its container's message."""
    state = final_state()
    # Prefect takes a second to import: only for a result.
    if state["type"] != "COMPLETED" or not state.get("data"):
        return
    from prefect.client.schemas.objects import State

    result = finished(State.model_validate(state).result(raise_on_failure=False))
    message = result_message(result, int(os.environ["FLOW_RESULT_LIMIT"]))
    if message.startswith(RESULT_ERROR.encode()):
        # Flows persist results for other reasons, too: what is no XCom is no error.
        raise ValueError(message.decode(errors="replace")[len(RESULT_ERROR) :])
    write_message(message)


def execute() -> None:
    """Run the flow run, and end as it does."""
    if os.getpid() == 1:
        run_under_init()
    process = subprocess.Popen([sys.executable, "-m", "prefect", "flow-run", "execute"])
    signal.signal(signal.SIGTERM, lambda number, frame: process.terminate())
    code = process.wait()
    if code == 0:
        try:
            hand_on_result()
        except Exception as error:
            # The flow has done its work: what cannot be read is no reason to run it again.
            print(f"The flow run's result is not handed on: {error}", file=sys.stderr)
    sys.exit(code if code >= 0 else 128 - code)


if __name__ == "__main__":
    execute()
