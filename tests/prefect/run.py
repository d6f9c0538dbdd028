"""Run a flow as its container does, under a real Prefect."""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flowjob.flows import PrefectFlow
from flowjob.flows.base import FlowRequest
from tests.support.flow_container import end_flow_container
from tests.support.prefect import prefect_packages, prefect_python

FLOWS = Path(__file__).parent / "flows"
# As a flow of a scheduled run has them.
AIRFLOW = {
    "FLOW_RUN_ID": "a-flow-run",
    "AIRFLOW_CTX_DATA_INTERVAL_START": "2026-01-05T00:00:00+00:00",
    "AIRFLOW_CTX_DATA_INTERVAL_END": "2026-01-06T00:00:00+00:00",
}
NOTHING: Mapping[str, Any] = {}
# Seconds.
_LONGEST_RUN = 300.0


@dataclass
class Run:
    """What came of a flow: its exit code, termination message, and log."""

    code: int
    message: str
    log: str

    @property
    def result(self) -> Any:
        """The flow's result."""
        return json.loads(self.message)


class Container:
    """Where a flow runs: a process that has nothing of ours but the runner's text.

    :param generation: of the Prefect that is there.
    :param folder: an empty one.
    """

    def __init__(self, generation: str, folder: Path) -> None:
        self.path = [prefect_packages(generation), FLOWS]
        # Further variables.
        self.settings: dict[str, str] = {}
        self._message = folder / "message"
        self.folder = folder / "flow"
        self.folder.mkdir()

    @property
    def environment(self) -> dict[str, str]:
        """What the process finds there."""
        return {
            "PATH": os.environ["PATH"],
            "HOME": "/nonexistent",
            "TMPDIR": str(self.folder),
            "PYTHONPATH": os.pathsep.join(map(str, self.path)),
        }

    def python(self, code: str) -> None:
        """Run some code there, as whoever made the image did."""
        command = [prefect_python(), "-c", code]
        subprocess.run(command, cwd=self.folder, env=self.environment, check=True)

    @contextmanager
    def _started(
        self, flow: str, parameters: Mapping[str, Any] = NOTHING, **env: str
    ) -> Iterator[subprocess.Popen[str]]:
        """Run the flow, with its log as standard output; what takes too long is killed."""
        command = PrefectFlow(flow, prefect_python()).command(FlowRequest("", "", ""))
        assert command.command is not None
        assert command.args is not None
        self._message.write_text("")
        process = subprocess.Popen(
            [word.replace("$$", "$") for word in command.command + command.args],
            cwd=self.folder,
            env={
                **self.environment,
                "FLOW_PARAMETERS": json.dumps(parameters),
                "FLOW_RESULT_PATH": str(self._message),
                "FLOW_RESULT_LIMIT": "4096",
                **AIRFLOW,
                **self.settings,
                **env,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        deadline = threading.Timer(_LONGEST_RUN, end_flow_container, [self._message])
        deadline.start()
        try:
            with process:
                yield process
        finally:
            deadline.cancel()
            end_flow_container(self._message)

    def run(self, flow: str, parameters: Mapping[str, Any] = NOTHING, **env: str) -> Run:
        """Run the flow to its end."""
        with self._started(flow, parameters, **env) as process:
            log, _ = process.communicate()
        return Run(process.returncode, self._message.read_text(), log)

    def kill(self, flow: str) -> tuple[Run, float]:
        """Tell the flow to end when it says that it is up; also return the seconds that it took."""
        lines, killed = [], float("nan")
        with self._started(flow) as process:
            assert process.stdout is not None
            for line in process.stdout:
                lines.append(line)
                if line == "up\n":
                    process.terminate()
                    killed = time.monotonic()
        took = time.monotonic() - killed
        return Run(process.returncode, self._message.read_text(), "".join(lines)), took
