"""The demo's Airflow and its cluster: started, found again, stopped.

All is in the folder `.flowjob` of the checkout, or in FLOWJOB_DEMO_FOLDER. Whoever runs the
demo's system holds the lock there for as long as it lives, so a killed one is never taken for a
running one.
"""

import fcntl
import hashlib
import json
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.support.airflow.instance import AirflowInstance, kubernetes_connection
from tests.support.airflow.sessions import Guard
from tests.support.node.images import FLOW_IMAGE
from tests.support.node.node import Node, build
from tests.support.node.progress import say, step

_CHECKOUT = Path(__file__).parents[2]
FOLDER = Path(os.environ.get("FLOWJOB_DEMO_FOLDER") or _CHECKOUT / ".flowjob").resolve()
_AIRFLOW_HOME = FOLDER / "airflow"
_STATE_FILE = FOLDER / "state.json"
_LOCK_FILE = FOLDER / "lock"
_PUBLIC_FLOW_IMAGE = "python:3.13-slim"
# A node has Unix sockets in its folder, whose paths have a limit.
_LONGEST_NODE_FOLDER = 80


class DemoError(RuntimeError):
    """Says in one sentence why there is no demo, and what to do."""


@dataclass(frozen=True)
class System:
    """What to know of a running demo."""

    url: str
    kubeconfig: str
    airflow_home: str
    process_id: int


@contextmanager
def running_system() -> Iterator[System]:
    """Run the demo's Airflow and, without a KUBECONFIG, its cluster, until the block ends."""
    with ExitStack() as ending:
        ending.enter_context(_lock())
        remove_remains()
        given = _given_kubeconfig()
        if given is None:
            # The first time this takes minutes, in which nothing else should run.
            build()
        node = Node(_node_folder())
        kubeconfig = given or node.kubeconfig
        image = os.environ.get("FLOW_IMAGE") or (_PUBLIC_FLOW_IMAGE if given else FLOW_IMAGE)
        guard = Guard()
        ending.callback(guard.close)
        airflow = AirflowInstance(
            _AIRFLOW_HOME,
            {"dags": _CHECKOUT / "dags"},
            guard=guard,
            environment={**kubernetes_connection(kubeconfig), "FLOW_IMAGE": image},
        )
        ending.callback(airflow.stop)
        # What takes part in ending must not be interrupted by a second Ctrl-C.
        ending.callback(_ignore_interrupts)
        with step(f"Starting Airflow{'' if given else ' and a Kubernetes node'}"):
            airflow.launch()
            if given is None:
                ending.callback(node.stop)
                node.start(ends_with_caller=True)
            airflow.wait_until_healthy()
        yield System(airflow.url, str(kubeconfig), str(_AIRFLOW_HOME), os.getpid())
        say("Stopping Airflow and what was started with it")


def serve() -> None:
    """Run the system until this process is told to end."""
    with running_system() as system:
        _STATE_FILE.write_text(json.dumps(asdict(system)))
        try:
            signal.pause()
        finally:
            _STATE_FILE.unlink()


def find_system() -> System | None:
    """Return the system that `serve` runs in another process, if there is one."""
    if not is_locked():
        return None
    try:
        return System(**json.loads(_STATE_FILE.read_text()))
    except (FileNotFoundError, json.JSONDecodeError):
        # It is being started or stopped.
        return None


def is_locked() -> bool:
    """Whether a process of this checkout's runs, starts or stops a system."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with _LOCK_FILE.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def remove_remains() -> None:
    """Remove what is left of a system that no longer runs; its processes ended with it."""
    _STATE_FILE.unlink(missing_ok=True)
    node = Node(_node_folder())
    if node.folder.exists():
        node.stop()
    if _AIRFLOW_HOME.exists():
        shutil.rmtree(_AIRFLOW_HOME)


@contextmanager
def _lock() -> Iterator[None]:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with _LOCK_FILE.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DemoError(
                "Another demo of this checkout is being started, run or stopped; wait for its "
                "end, or end it with `make down`."
            ) from None
        yield


def _given_kubeconfig() -> Path | None:
    value = os.environ.get("KUBECONFIG")
    if not value:
        return None
    kubeconfig = Path(value).resolve()
    if not kubeconfig.is_file():
        raise DemoError(
            f"KUBECONFIG names {value}, which is no file; correct it, or unset it to have a "
            "cluster started here."
        )
    return kubeconfig


def _node_folder() -> Path:
    folder = FOLDER / "node"
    if len(str(folder)) <= _LONGEST_NODE_FOLDER:
        return folder
    name = hashlib.sha256(str(FOLDER).encode()).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"flowjob-demo-{name}"


def _ignore_interrupts() -> None:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
