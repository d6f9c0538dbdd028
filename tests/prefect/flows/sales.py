"""A Prefect 3 flow that ends as it is told; it runs where Prefect is, and nothing of ours."""

import os
import signal
import time
from pathlib import Path
from typing import Any

from prefect import flow, get_run_logger


@flow(name="sales", persist_result=True, result_serializer="json")
def sales(how: str = "ends", region: str = "eu") -> Any:
    """End well, or otherwise."""
    get_run_logger().info("selling in %s", region)
    if how == "fails":
        raise ValueError(f"no region {region}")
    if how == "is_killed":
        os.kill(os.getpid(), signal.SIGKILL)
    died = Path.home() / "died"
    if how == "kills_all" or (how == "kills_all_once" and not died.exists()):
        # As the machine's memory killer may: the runner goes, too, and nobody can report.
        died.touch()
        os.kill(os.getppid(), signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)
    if how == "sleeps":
        print("sleeping", flush=True)
        time.sleep(600)
    return {"region": region, "rows": 3}


@flow(name="forgetful")
def forgetful() -> int:
    """Return what is persisted nowhere."""
    return 1


@flow(name="odd", persist_result=True, result_serializer="pickle")
def odd() -> set[int]:
    """Return what is no JSON."""
    return {1, 2}
