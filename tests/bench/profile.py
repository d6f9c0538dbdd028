"""Where the time of a flow run goes that does nothing, and what it asks the cluster for.

    python -m tests.bench.profile [--seconds 60] [--no-preload]

All is real: scheduler, workers, triggerer, node. The modes take turns. Prints a table of the
segments from trigger to success, with the median and the 95th percentile in seconds, and one line
of JSON for each mode.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

from tests.bench.dags.noop import CALLED, IMPORTED, MODES
from tests.support.airflow.instance import (
    AirflowInstance,
    kubernetes_connection,
    running_airflow,
)
from tests.support.audit import AuditLog
from tests.support.node.images import SHELL_IMAGE
from tests.support.node.node import running_node
from tests.support.node.progress import step

DAGS = Path(__file__).parent / "dags"
NAMESPACE = "default"
SUCCEEDED = "The flow run succeeded"
# Each from the moment before it, in their order.
SEGMENTS = {
    "queued": "scheduler: from the trigger to the queue",
    "started": "executor: until the task's process is there",
    "called": "Airflow: until the operator is called",
    "imported": "imports",
    "asked": "connection: until the first request",
    "created": "look for earlier tries: until the create",
    "complete": "Kubernetes: from the create to Complete",
    "succeeded": "watch and log: until the end is told",
    "ended": "XCom and end of the task",
    "over": "scheduler: until the run is a success",
}


class Run:
    """One run: when it came to each moment, and its requests."""

    def __init__(self, airflow: AirflowInstance, audit: AuditLog, mode: str, seconds: int) -> None:
        client, dag_id, mark = airflow.client, f"noop_{mode}", audit.position()
        run_id = client.trigger(dag_id, conf={"seconds": seconds})
        state = client.wait_for_run(dag_id, run_id, timeout=seconds + 120)
        if state != "success":
            raise RuntimeError(f"{dag_id} ended as {state}: {client.run_evidence(dag_id, run_id)}")
        run, task = client.dag_run(dag_id, run_id), client.task_instance(dag_id, run_id, "flow")
        messages = client.log_messages(dag_id, run_id, "flow")
        lines = [m for m in messages if isinstance(m, dict) and m.get("timestamp")]
        # The first of each: an event, and what the DAG says of its process.
        logged = {m["event"].partition(";")[0]: m["timestamp"] for m in reversed(lines)}
        #: Seconds of CPU that the first process of the task had taken by then.
        self.cpu = {
            name: float(told)
            for name, mark, told in (m["event"].partition("; ") for m in reversed(lines))
            if mark and name.startswith("bench: ")
        }
        own = audit.requests(since=mark, user_agent="flowjob/")
        (create,) = [request for request in own if request.verb == "create"]
        statuses = audit.requests(since=mark, resource="jobs", subresource="status")
        self.requests = Counter(
            f"{request.verb} {request.resource}{request.subresource and '/'}{request.subresource}"
            for request in own
        )
        self.is_deferred = any(event.startswith("Pausing task as") for event in logged)
        self.begun = _seconds(run["queued_at"])
        self.at = {
            "queued": _seconds(task["queued_when"]),
            "started": _seconds(task["start_date"]),
            "called": _seconds(logged[CALLED]),
            "imported": _seconds(logged[IMPORTED]),
            "asked": min(request.at for request in own),
            "created": create.at,
            "complete": max(request.at for request in statuses),
            "succeeded": _seconds(logged[SUCCEEDED]),
            "ended": _seconds(task["end_date"]),
            "over": _seconds(run["end_date"]),
        }

    @property
    def total(self) -> float:
        return self.at["over"] - self.begun

    @property
    def segments(self) -> dict[str, float]:
        """The seconds of each segment."""
        moments = [self.begun, *self.at.values()]
        lasted = [after - before for before, after in pairwise(moments)]
        return dict(zip(self.at, lasted, strict=True))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.profile", description=__doc__)
    parser.add_argument("--runs", type=int, default=10, help="of each mode")
    parser.add_argument("--seconds", type=int, default=0, help="that the flow sleeps")
    parser.add_argument("--no-preload", action="store_true")
    parser.add_argument("--modes", nargs="+", choices=MODES, default=list(MODES))
    arguments = parser.parse_args()
    with running_node() as node, tempfile.TemporaryDirectory(prefix="flowjob-airflow-") as home:
        settings = {
            **kubernetes_connection(node.kubeconfig, NAMESPACE),
            "AIRFLOW__FLOWJOB__PRELOAD": str(not arguments.no_preload),
            "FLOW_IMAGE": SHELL_IMAGE,
            "FLOW_RUNS": "1",  # of the other bench in this folder
        }
        with running_airflow(
            Path(home), {"dags": DAGS}, on_postgres=True, environment=settings
        ) as airflow:
            audit = AuditLog(node.audit_log)
            runs: dict[str, list[Run]] = defaultdict(list)
            # The first of each warms up what is cached.
            for number in range(arguments.runs + 1):
                for mode in arguments.modes:
                    with step(f"Run {number} of {arguments.runs}: {mode}"):
                        run = Run(airflow, audit, mode, arguments.seconds)
                    if number:
                        runs[mode].append(run)
    # A task that deferred was queued and started twice.
    begun_once = {mode: [run for run in of if not run.is_deferred] for mode, of in runs.items()}
    print(table({mode: [run.segments for run in of] for mode, of in begun_once.items() if of}))
    for mode, of in runs.items():
        print(json.dumps({"mode": mode, "seconds": arguments.seconds} | facts(of)))
    return 0


def facts(runs: Sequence[Run]) -> dict[str, Any]:
    """Return what the runs of a mode came to."""
    totals = [run.total for run in runs]
    ends = [run.at["ended"] - run.at["complete"] for run in runs]
    begins = [run.at["created"] - run.at["started"] for run in runs if not run.is_deferred]
    return {
        "runs": len(runs),
        "deferred": sum(run.is_deferred for run in runs),
        "total": _told(totals),
        "start_to_create": _told(begins) if begins else None,
        "complete_to_end": _told(ends),
        "cpu": {
            moment: _told([run.cpu[moment] for run in runs if moment in run.cpu])
            for moment in runs[0].cpu
        },
        "requests": statistics.median(run.requests.total() for run in runs),
        "most_requests": max((run.requests for run in runs), key=Counter.total),
    }


def table(segments: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    """Return a table of the segments, with median and 95th percentile in each mode."""
    lines = [f"{'segment':48}" + "".join(f"{mode:>18}" for mode in segments)]
    for name, what in SEGMENTS.items():
        cells = []
        for of in segments.values():
            median, high = _told([run[name] for run in of])
            cells.append(f"{median:>11.2f} {high:>6.2f}")
        lines.append(f"{what:48}" + "".join(cells))
    return "\n".join(lines)


def _told(seconds: Sequence[float]) -> tuple[float, float]:
    """Return the median, and what 95 of 100 do not exceed."""
    ordered = sorted(seconds)
    high = ordered[min(int(len(ordered) * 0.95), len(ordered) - 1)]
    return round(statistics.median(ordered), 3), round(high, 3)


def _seconds(time: str) -> float:
    return datetime.fromisoformat(time).timestamp()


if __name__ == "__main__":
    raise SystemExit(main())
