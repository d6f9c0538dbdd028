"""The end of a flow container, for flows that run as plain processes of a test."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path


def end_flow_container(result_path: Path) -> None:
    """Kill what is left of its processes, as its kernel would: some have a session of their own.

    :param result_path: `FLOW_RESULT_PATH`, which no other container has.
    """
    variable = f"FLOW_RESULT_PATH={result_path}\0".encode()
    for environment in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            if variable in environment.read_bytes():
                os.kill(int(environment.parent.name), signal.SIGKILL)
