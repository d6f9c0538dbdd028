"""The flow of the reference's example: one task gives a value, the next prints it."""

from __future__ import annotations


def get_value() -> str:
    return "Example!"


def output_value(value: str) -> None:
    print(value)


def run() -> None:
    output_value(get_value())
