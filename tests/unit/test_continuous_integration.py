"""The forge's CI runs what a developer runs, on the Pythons that the package says it supports."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

CHECKOUT = Path(__file__).parents[2]
MAKE = re.compile(r"^make ([\w. -]+?)(?: [A-Z]+=.*)?$")


@pytest.fixture(scope="module")
def jobs() -> dict[str, Any]:
    file = CHECKOUT / ".github" / "workflows" / "ci.yaml"
    found: dict[str, Any] = yaml.safe_load(file.read_text())["jobs"]
    return found


def targets(job: dict[str, Any]) -> set[str]:
    """Return what a job makes; it runs nothing else."""
    commands = [step["run"] for step in job["steps"] if "run" in step]
    made = [MAKE.match(command) for command in commands]
    assert all(made), commands
    return {target for each in made if each for target in each[1].split()}


def pythons_of_the_package() -> list[str]:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    named = "Programming Language :: Python :: 3."
    pythons = [each.rpartition(" ")[2] for each in project["classifiers"] if each.startswith(named)]
    assert project["requires-python"] == f">={pythons[0]}"
    return pythons


def test_each_python_that_is_supported_has_the_fast_checks(jobs: dict[str, Any]) -> None:
    assert targets(jobs["fast"]) == {"lint", "types", "unit"}
    assert jobs["fast"]["strategy"]["matrix"]["python"] == pythons_of_the_package()
    assert jobs["fast"]["strategy"]["fail-fast"] is False


def test_one_python_that_is_supported_has_all_tests(jobs: dict[str, Any]) -> None:
    assert targets(jobs["whole"]) == {"test"}
    image = jobs["whole"]["container"]["image"]
    assert re.fullmatch(r"python:([\d.]+)-\w+", image)[1] in pythons_of_the_package()  # type: ignore[index]


def test_what_is_run_are_targets_of_the_makefile(jobs: dict[str, Any]) -> None:
    makefile = (CHECKOUT / "Makefile").read_text()
    known = set(re.findall(r"^([\w.-]+):", makefile, re.MULTILINE))
    for name, job in jobs.items():
        assert targets(job) <= known, name
