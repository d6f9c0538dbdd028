"""Nothing of a test run outlives it, however it ends."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.airflow import sessions
from tests.support.airflow.component import Component, ComponentError
from tests.support.airflow.sessions import Guard
from tests.support.wait import wait_for

# Starts a child of its own that ignores SIGTERM, and says that it did.
PROGRAM = """
import signal, subprocess, sys
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
child = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); signal.pause()"
subprocess.Popen([sys.executable, "-c", child], process_group=0)
print("ready", flush=True)
signal.pause()
"""


@pytest.fixture
def guard() -> Iterator[Guard]:
    guard = Guard()
    yield guard
    guard.close()


@pytest.fixture
def component(guard: Guard, tmp_path: Path) -> Iterator[Component]:
    component = new_component(guard, tmp_path, PROGRAM)
    yield component
    component.kill()


def new_component(guard: Guard, folder: Path, program: str) -> Component:
    return Component(
        "example",
        [sys.executable, "-c", program],
        log_file=folder / "example.log",
        environment=dict(os.environ),
        guard=guard,
    )


def start(component: Component) -> int:
    component.start()
    wait_for(lambda: "ready" in component.log_tail(), "the program to be ready")
    session = component.process_id
    wait_for(lambda: len(sessions.members(session)) == 2, "the program to have a child")
    return session


def test_a_killed_program_takes_its_children_with_it(component: Component) -> None:
    session = start(component)
    component.kill()
    assert not sessions.members(session)
    assert not component.is_running


def test_a_program_that_ends_politely_leaves_no_child_behind(component: Component) -> None:
    session = start(component)
    component.terminate()
    assert not sessions.members(session)


def test_a_killed_program_can_be_started_again(component: Component) -> None:
    first = start(component)
    component.kill()
    second = start(component)
    assert first != second
    assert component.log_file.read_text().count("ready") == 2


def test_a_program_is_not_started_twice(component: Component) -> None:
    start(component)
    with pytest.raises(ComponentError, match="example is running already"):
        component.start()


def test_the_log_says_why_a_program_ended_by_itself(guard: Guard, tmp_path: Path) -> None:
    component = new_component(guard, tmp_path, "raise SystemExit('the port is taken')")
    component.start()
    wait_for(lambda: not component.is_running, "the program to end")
    with pytest.raises(ComponentError, match=r"exit code 1; .*(?s:.*)the port is taken"):
        component.check_running()
    component.kill()


def test_a_killed_test_run_leaves_no_process_and_no_folder(tmp_path: Path) -> None:
    owner = """
import signal, sys
from pathlib import Path
from tests.support.airflow.sessions import Guard
from tests.harness.test_sessions import PROGRAM, new_component, start
folder = Path(sys.argv[1])
guard = Guard()
guard.watch_folder(folder)
print(start(new_component(guard, folder, PROGRAM)), flush=True)
signal.pause()
"""
    folder = tmp_path / "folder"
    folder.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", owner, str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    session = int(process.stdout.readline())
    assert len(sessions.members(session)) == 2
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_for(lambda: not sessions.members(session), "the guard to end the program")
    wait_for(lambda: not folder.exists(), "the guard to remove the folder")
