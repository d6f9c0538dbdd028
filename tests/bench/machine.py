"""What the figures were measured on, and with."""

from __future__ import annotations

import os
import platform
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

from tests.bench.result import Setting
from tests.support.node.binaries import kubernetes_version

_DISTRIBUTIONS = {
    "Airflow": "apache-airflow-core",
    "the cncf-kubernetes provider": "apache-airflow-providers-cncf-kubernetes",
    "FlowJob": "airflow-provider-flowjob",
}


def setting(*, is_quick: bool) -> Setting:
    """Return the setting of a run that begins now."""
    versions = {name: metadata.version(of) for name, of in _DISTRIBUTIONS.items()}
    versions |= {"Python": platform.python_version(), "Kubernetes": kubernetes_version()}
    return Setting(f"{datetime.now(UTC):%Y-%m-%d}", _machine(), versions, is_quick)


def _machine() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    gibibytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    processor = models[0] if models else platform.machine()
    return f"a machine of {os.cpu_count()} cores ({processor}) and {gibibytes:.0f} GiB of memory"
