"""`make soak`: minutes of flow runs, kills and meddling users, and whether all promises held.

Flow runs of all kinds in both modes, SIGKILLs of every part of Airflow and of the cluster's API
server, and users who mark, clear and delete, by a seed that is printed. In the end every flow run
ran once or was ended by a user, and no Job is left but by `on_finish`: the API server's audit log
and what the flows wrote say so. The exit code is 1 where they do not.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path

from tests.soak.kills import Killer
from tests.soak.kinds import KINDS
from tests.soak.plan import make_plan
from tests.soak.record import Record
from tests.soak.users import Users
from tests.soak.verdict import Verdict
from tests.support.airflow.instance import (
    AirflowInstance,
    kubernetes_connection,
    running_airflow,
)
from tests.support.airflow.world import FRAGILE
from tests.support.node.images import FLOW_IMAGE
from tests.support.node.node import Node, build, running_node
from tests.support.node.progress import step

NAMESPACE = "default"
_CHECKOUT = Path(__file__).parents[2]
_DAGS = {"dags": _CHECKOUT / "dags", "soak": _CHECKOUT / "tests" / "soak" / "dags"}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--seed", type=int, default=random.randrange(2**15))
    parser.add_argument("--seconds", type=float, default=600)
    arguments = parser.parse_args()
    # Who ends it politely is answered as if by Ctrl-C: with everything cleaned up.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    print(f"seed: {arguments.seed} ({arguments.seconds:g} s)", flush=True)
    build()
    with (
        tempfile.TemporaryDirectory(prefix="flowjob-soak-") as folder,
        running_node() as node,
        soaked_airflow(node, Path(folder)) as airflow,
    ):
        record = soak(node, airflow, arguments.seed, arguments.seconds)
        return Verdict(node, airflow, record, Path(folder), NAMESPACE).give()


@contextmanager
def soaked_airflow(node: Node, folder: Path) -> Iterator[AirflowInstance]:
    """Run an Airflow, with all DAGs unpaused, whose flows write to the folder."""
    folder.chmod(0o777)
    (folder / "lines").touch()
    (folder / "lines").chmod(0o666)
    (folder / "airflow").mkdir()
    environment = {
        **kubernetes_connection(node.kubeconfig, NAMESPACE),
        **FRAGILE,
        "AIRFLOW__CORE__PARALLELISM": "24",
        # A worker that is killed before it has begun leaves its task queued for so long.
        "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT": "60",
        "AIRFLOW__SCHEDULER__TASK_QUEUED_TIMEOUT_CHECK_INTERVAL": "10",
        "FLOW_IMAGE": FLOW_IMAGE,
        "FLOW_NAMESPACE": NAMESPACE,
        "FLOW_EFFECTS": str(folder),
        # The DAGs are made from the kinds that the verdict knows.
        "PYTHONPATH": str(_CHECKOUT),
    }
    with (
        step("Starting Airflow"),
        running_airflow(
            folder / "airflow", _DAGS, on_postgres=True, environment=environment
        ) as airflow,
    ):
        for kind in KINDS:
            for deferrable in (False, True):
                dag_id = kind.dag_id(deferrable=deferrable)
                airflow.client.wait_for_dag(dag_id)
                airflow.client.request("PATCH", f"dags/{dag_id}", json={"is_paused": False})
        yield airflow


def soak(node: Node, airflow: AirflowInstance, seed: int, seconds: float) -> Record:
    plan = make_plan(seed, seconds)
    record = Record()
    stop = threading.Event()
    killer = Killer(node, airflow, record, stop)
    users = Users(airflow.client, record, stop)
    with ThreadPoolExecutor(2) as threads:
        try:
            parts = [threads.submit(users.run, plan.deeds), threads.submit(killer.run, plan.kills)]
            for part in as_completed(parts):
                part.result()
        finally:
            stop.set()
    node.heal()
    airflow.wait_until_healthy()
    return record


if __name__ == "__main__":
    sys.exit(main())
