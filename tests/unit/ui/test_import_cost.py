"""What each of Airflow's processes pays for the plugin, which all of them load."""

from __future__ import annotations

import json
import subprocess
import sys

SCRIPT = """
import json, sys, time
import airflow.plugins_manager, airflow.listeners
before, began = set(sys.modules), time.process_time()
from flowjob.plugin import FlowJobPlugin
took = time.process_time() - began
assert FlowJobPlugin().fastapi_apps and FlowJobPlugin().external_views
print(json.dumps([took, sorted(set(sys.modules) - before)]))
"""


def test_the_page_costs_a_scheduler_or_a_triggerer_nothing() -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True
    )
    took, loaded = json.loads(done.stdout.splitlines()[-1])
    print(f"{took:.4f} s of CPU, {len(loaded)} modules")
    assert [name for name in loaded if not name.startswith("flowjob")] == []
    assert "flowjob.ui.app" not in loaded
