"""`make demo`, `make up` and `make down`."""

import argparse
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from tests.demo.show import show_run
from tests.demo.system import (
    FOLDER,
    DemoError,
    System,
    find_system,
    is_locked,
    remove_remains,
    running_system,
    serve,
)
from tests.support.airflow.client import AirflowClient, AirflowClientError
from tests.support.airflow.component import ComponentError
from tests.support.node.errors import NodeError
from tests.support.wait import wait_for

_LOG_FILE = FOLDER / "up.log"
_STOP_SECONDS = 60.0


def main() -> int:
    """Run one command; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tests.demo")
    parser.add_argument("command", choices=_COMMANDS)
    command = _COMMANDS[parser.parse_args().command]
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    try:
        return command()
    except KeyboardInterrupt:
        print("Interrupted; nothing is left running.", file=sys.stderr)
        return 130
    except (DemoError, ComponentError, AirflowClientError, NodeError, TimeoutError) as error:
        print(error, file=sys.stderr)
        return 1


def _run() -> int:
    """Show a run on the system that is up, or on one for the time of the run."""
    started = time.monotonic()
    system = find_system()
    if system is not None:
        succeeded = _show(system)
    else:
        with running_system() as system:
            succeeded = _show(system)
    print(f"The demo took {time.monotonic() - started:.0f} s.")
    return 0 if succeeded else 1


def _up() -> int:
    """Start a system in the background, unless one is up."""
    system = find_system()
    if system is None:
        system = _start_in_background()
    print(f"Airflow's web UI:  {system.url}")
    print(f"The cluster:       export KUBECONFIG={system.kubeconfig}")
    print(f"Airflow's folder:  {system.airflow_home} (its own logs: components/)")
    print("`make demo` runs the example on it, `make down` stops it.")
    return 0


def _down() -> int:
    """Stop the system that is up, and remove what it has left."""
    system = find_system()
    if system is not None:
        print("Stopping Airflow and what was started with it ...", flush=True)
        with suppress(ProcessLookupError):
            os.kill(system.process_id, signal.SIGTERM)
        wait_for(lambda: not is_locked(), "the demo to stop", _STOP_SECONDS)
    elif is_locked():
        raise DemoError("A demo is being started or stopped right now; end it with Ctrl-C.")
    remove_remains()
    print("Nothing of the demo is running.")
    return 0


def _serve() -> int:
    """Be the process in the background."""
    serve()
    return 0


def _show(system: System) -> bool:
    client = AirflowClient(system.url)
    try:
        return show_run(client, system.url)
    finally:
        client.close()


def _start_in_background() -> System:
    """Start a process that runs the system, relaying what it says until the system is up."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    with _LOG_FILE.open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.demo", "serve"],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    relay = _Relay(_LOG_FILE)
    try:
        while (system := find_system()) is None:
            relay.show_new()
            if process.poll() is not None:
                raise DemoError(f"Airflow and its cluster did not start; see {_LOG_FILE}.")
            time.sleep(0.2)
        relay.show_new()
        return system
    except BaseException:
        process.terminate()
        process.wait()
        relay.show_new()
        raise


class _Relay:
    """Prints what another process writes to a file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._shown = 0

    def show_new(self) -> None:
        with self._file.open("rb") as file:
            file.seek(self._shown)
            new = file.read()
        self._shown += len(new)
        sys.stderr.write(new.decode(errors="replace"))
        sys.stderr.flush()


_COMMANDS: dict[str, Callable[[], int]] = {
    "run": _run,
    "up": _up,
    "down": _down,
    "serve": _serve,
}

if __name__ == "__main__":
    sys.exit(main())
