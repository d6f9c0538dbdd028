"""Which Pythons and which Airflows are tested together."""

import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]

# The oldest Airflow that is supported, the last one of the minor version between, and the newest.
CONSTRAINTS = ("constraints-oldest.txt", "constraints-3.2.txt", "constraints.txt")


@dataclass(frozen=True)
class Cell:
    """One Python, such as 3.12, with the Airflow that a file of constraints names."""

    python: str
    constraints: Path

    @property
    def name(self) -> str:
        """Such as 3.12-airflow-3.3.2."""
        return f"{self.python}-airflow-{airflow_version(self.constraints)}"

    @property
    def environment(self) -> Path:
        """Where its virtual environment is, in the checkout."""
        return CHECKOUT / ".venv-matrix" / self.name


def cells(wanted: Sequence[str] = ()) -> list[Cell]:
    """Return the cells in whose names one of `wanted` stands; all of them where nothing does.

    The newest Airflow comes first, as what is wrong for all is seen soonest there.
    """
    files = [CHECKOUT / name for name in reversed(CONSTRAINTS)]
    every = [Cell(python, file) for file, python in product(files, pythons())]
    return [cell for cell in every if not wanted or any(part in cell.name for part in wanted)]


def pythons() -> list[str]:
    """Return the versions that the package's classifiers name, oldest first."""
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    named = "Programming Language :: Python :: 3."
    return [each.rpartition(" ")[2] for each in project["classifiers"] if each.startswith(named)]


def airflow_version(constraints: Path) -> str:
    """Return the Airflow that a file of constraints pins."""
    found = re.search(r"^apache-airflow==(\S+)$", constraints.read_text(), re.MULTILINE)
    if found is None:
        raise ValueError(f"{constraints} pins no apache-airflow: make it again with `make lock`.")
    return found[1]
