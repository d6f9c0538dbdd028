"""A flow over one slice of time."""

from __future__ import annotations

import os
from typing import Any


def run(region: str, day: str) -> dict[str, Any]:
    start = os.environ["AIRFLOW_CTX_DATA_INTERVAL_START"]
    end = os.environ["AIRFLOW_CTX_DATA_INTERVAL_END"]
    print(f"Sales of {region} on {day}, from {start} to {end}")
    return {"region": region, "day": day, "start": start, "end": end}


def on_demand(region: str, day: str) -> dict[str, str]:
    print(f"Sales of {region} on {day}, on demand")
    return {"region": region, "day": day}
