"""`python -m tests.matrix [CELL...] [-- PYTEST ARGUMENTS]`: run the tests in each cell."""

import argparse
import subprocess
import sys
import time
from collections.abc import Sequence

from tests.matrix.cells import CHECKOUT, Cell, cells
from tests.matrix.interpreters import interpreter

_TESTS = ("tests/unit", "tests/airflow")


def main(arguments: Sequence[str]) -> int:
    """Run them one after the other, tell how each went, and return the exit code."""
    ours, tests = _split(arguments)
    parser = argparse.ArgumentParser(prog="python -m tests.matrix")
    parser.add_argument("cells", nargs="*", help="parts of the cells' names; all by default")
    parser.add_argument("--workers", type=int, default=0, help="tests side by side")
    options = parser.parse_args(ours)
    chosen = cells(options.cells)
    if not chosen:
        names = ", ".join(cell.name for cell in cells())
        print(f"No cell is called {' or '.join(options.cells)}: there are {names}.")
        return 1
    results = {cell.name: _run(cell, options.workers, tests or _TESTS) for cell in chosen}
    print("\n".join(f"{name:24} {result}" for name, result in results.items()))
    return 0 if all(result.startswith("passed") for result in results.values()) else 1


def _split(arguments: Sequence[str]) -> tuple[Sequence[str], Sequence[str]]:
    """Return what stands before and after the first `--`."""
    place = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:place], arguments[place + 1 :]


def _run(cell: Cell, workers: int, tests: Sequence[str]) -> str:
    """Return how the tests went in a cell, in a word and seconds."""
    print(f"=== {cell.name}", flush=True)
    begun = time.monotonic()
    setup = [interpreter(cell.python), "-m", "tests.setup", "--postgres"]
    setup += ["--venv", str(cell.environment), "--constraints", str(cell.constraints)]
    if subprocess.run(setup, cwd=CHECKOUT, check=False).returncode != 0:
        return "has no environment"
    side_by_side = ["-n", str(workers)] if workers else []
    pytest = [str(cell.environment / "bin" / "pytest"), *side_by_side, *tests]
    code = subprocess.run(pytest, cwd=CHECKOUT, check=False).returncode
    return f"{'failed' if code else 'passed'} in {time.monotonic() - begun:.0f} s"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
