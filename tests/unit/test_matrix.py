"""What the package says that it supports is what `make test-matrix` runs."""

from __future__ import annotations

import re
import sys
import tomllib

from tests.matrix.cells import CHECKOUT, CONSTRAINTS, airflow_version, cells, pythons
from tests.matrix.interpreters import interpreter


def versions() -> list[str]:
    return [airflow_version(CHECKOUT / name) for name in CONSTRAINTS]


def test_each_python_is_tested_with_the_oldest_airflow_the_newest_and_one_between() -> None:
    assert len(cells()) == len({cell.name for cell in cells()}) == 3 * len(pythons())
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    (oldest,) = (
        each.partition(">=")[2]
        for each in project["dependencies"]
        if each.startswith("apache-airflow>")
    )
    assert versions()[0] == oldest
    minors = [int(each.split(".")[1]) for each in versions()]
    assert minors == list(range(minors[0], minors[0] + 3))


def test_a_cell_is_chosen_by_any_part_of_its_name() -> None:
    assert {cell.python for cell in cells(["3.12-"])} == {"3.12"}
    (one,) = cells([f"3.13-airflow-{versions()[1]}"])
    assert one.constraints.name == CONSTRAINTS[1]
    assert cells(["3.9-"]) == []


def test_the_makefile_says_how_each_file_of_constraints_is_made() -> None:
    makefile = (CHECKOUT / "Makefile").read_text()
    assert set(re.findall(r"--output-file (\S+)", makefile)) == set(CONSTRAINTS)


def test_the_python_that_runs_is_found() -> None:
    version = "{}.{}".format(*sys.version_info)
    assert interpreter(version).startswith(sys.base_prefix)
