"""Flows around a warehouse."""

from __future__ import annotations

import os


def prepare() -> None:
    print("Prepared the warehouse in", os.environ["CLUSTER_NAMESPACE"])


def measure(rows: int, limit: int) -> dict[str, int]:
    if rows < 0:
        raise ValueError(f"there cannot be {rows} rows")
    return {"rows": min(rows, limit), "left": max(rows - limit, 0)}


def load(how: str) -> str:
    return f"loaded {how}"


def clean_up() -> None:
    print("Cleaned up")
