"""The demo as a newcomer sees it, on the cluster of the tests."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.airflow.sessions import members
from tests.support.cluster import Cluster
from tests.support.interrupts import INTERRUPTIBLE
from tests.support.wait import wait_for

CHECKOUT = Path(__file__).parents[2]


class Demo:
    def __init__(self, folder: Path, cluster: Cluster) -> None:
        self.folder = folder
        self._environment = {
            **os.environ,
            "FLOWJOB_DEMO_FOLDER": str(folder),
            "KUBECONFIG": str(cluster.kubeconfig),
            "FLOW_IMAGE": cluster.flow_image,
        }

    def start(self, command: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*INTERRUPTIBLE, sys.executable, "-m", "tests.demo", command],
            cwd=CHECKOUT,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, command: str) -> str:
        process = self.start(command)
        output, _ = process.communicate(timeout=300)
        assert process.returncode == 0, output
        return output


@pytest.fixture
def demo(tmp_path: Path, cluster: Cluster) -> Iterator[Demo]:
    demo = Demo(tmp_path / "demo", cluster)
    yield demo
    demo.run("down")


def test_the_demo_runs_on_what_is_up_and_leaves_it_up(demo: Demo) -> None:
    started = demo.run("up")
    assert demo.run("up") == started.partition("done in")[2].partition("\n")[2]
    shown = demo.run("run")
    url = re.search(r"http://127\.0\.0\.1:\d+", started)
    assert url is not None
    assert url[0] in shown
    for line in ("[running]", "| Hello world, line 3", "[success]", 'status = "succeeded"'):
        assert line in shown
    assert re.search(r'flow_run_id = "[0-9a-f-]{36}"', shown)
    assert 'return_value = {"greeted": "world", "lines": 3}' in shown
    assert demo.run("run").endswith(" s.\n")
    assert "Nothing of the demo is running." in demo.run("down")
    assert not processes_of(demo)


def test_an_interrupted_demo_leaves_nothing_running(demo: Demo) -> None:
    process = demo.start("run")
    wait_for(lambda: processes_of(demo), "the demo to start an Airflow", 60)
    process.send_signal(signal.SIGINT)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert "Interrupted" in output
    assert not processes_of(demo)


def test_what_is_not_up_can_be_put_down(demo: Demo) -> None:
    assert "Nothing of the demo is running." in demo.run("down")


def processes_of(demo: Demo) -> list[int]:
    """Return the members of the sessions whose leaders have their folder in the demo's."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            working_folder = os.readlink(folder / "cwd")
        except OSError:
            continue
        if working_folder.startswith(str(demo.folder)):
            found += members(int(folder.name))
    return found
