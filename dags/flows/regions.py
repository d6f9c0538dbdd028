"""Flows over regions."""

from __future__ import annotations

import os
from typing import Any


def regions() -> list[dict[str, Any]]:
    return [{"region": "eu", "year": 2026}, {"region": "us", "year": 2026}]


def sales(region: str, year: int) -> dict[str, Any]:
    print(f"Sales of {region} in {year}")
    return {"region": region, "rows": year - 2000}


def forecast(region: str, year: int) -> str:
    return f"{region} {year} in the currency of {os.environ['CURRENCY']}"


def total(sales: list[dict[str, Any]]) -> dict[str, Any]:
    return {"regions": [each["region"] for each in sales], "rows": sum(s["rows"] for s in sales)}
