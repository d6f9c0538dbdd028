"""The wheel and the sdist have what they need and nothing else, and work on their own."""

from __future__ import annotations

import json
import os
import re
import tarfile
import tomllib
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest

import flowjob
from tests.release.distributions import CHECKOUT, Distributions, build, check, install, run

NAME = "airflow_provider_flowjob"
PACKAGE = CHECKOUT / "provider" / "flowjob"

# What may be published of a package.
SOURCES = {".py", ".typed", ".html", ".css", ".js", ".svg"}
METADATA = {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"}
# Beside the folders: hatchling adds the last two by itself.
SDIST_FILES = {"README.md", "CHANGELOG.md", "LICENSE", "pyproject.toml", ".gitignore", "PKG-INFO"}
SDIST_FOLDERS = {"provider", "dags"}


@pytest.fixture(scope="module")
def distributions(tmp_path_factory: pytest.TempPathFactory) -> Distributions:
    # Where they are to be uploaded from.
    wanted = os.environ.get("FLOWJOB_DIST")
    return build(Path(wanted).resolve() if wanted else tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def programs(distributions: Distributions, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install(distributions.wheel, tmp_path_factory.mktemp("empty") / "environment")


def files_of_wheel(distributions: Distributions) -> set[str]:
    with zipfile.ZipFile(distributions.wheel) as wheel:
        return set(wheel.namelist())


def files_of_sdist(distributions: Distributions) -> set[str]:
    with tarfile.open(distributions.sdist) as sdist:
        return {
            name.partition("/")[2] for name in (entry.name for entry in sdist if entry.isfile())
        }


def sources() -> set[str]:
    """Return the package's files in the checkout."""
    return {
        str(path.relative_to(PACKAGE.parent))
        for path in PACKAGE.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_wheel_has_the_package_and_no_other_file(distributions: Distributions) -> None:
    metadata = {f"{NAME}-{flowjob.__version__}.dist-info/{name}" for name in METADATA}
    assert files_of_wheel(distributions) == sources() | metadata
    assert {Path(name).suffix for name in sources()} <= SOURCES


def test_the_sdist_has_the_package_and_its_examples_and_no_other_file(
    distributions: Distributions,
) -> None:
    files = files_of_sdist(distributions)
    assert {name for name in files if "/" not in name} == SDIST_FILES
    assert {name.partition("/")[0] for name in files if "/" in name} == SDIST_FOLDERS
    assert {name.removeprefix("provider/") for name in files if "provider/" in name} == sources()
    assert not [name for name in files if "__pycache__" in name]


def test_the_page_of_the_package_can_be_rendered(distributions: Distributions) -> None:
    assert check(distributions).count("PASSED") == 2


def test_the_version_is_said_in_one_place(distributions: Distributions) -> None:
    with zipfile.ZipFile(distributions.wheel) as wheel:
        (name,) = (name for name in wheel.namelist() if name.endswith("/METADATA"))
        metadata = HeaderParser().parsestr(wheel.read(name).decode())
    assert metadata["Version"] == flowjob.__version__
    assert distributions.sdist.name == f"{NAME}-{flowjob.__version__}.tar.gz"
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    assert "version" in project["dynamic"]
    said = re.compile(rf"(?<![\d.:]){re.escape(flowjob.__version__)}(?![\d.])")
    package = {path.name for path in PACKAGE.rglob("*.py") if said.search(path.read_text())}
    assert package == {"__init__.py"}


def test_the_changelog_begins_with_the_version_that_is_built() -> None:
    newest = re.search(r"^## (\S+)", (CHECKOUT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest is not None
    assert newest[1] == flowjob.__version__


def test_the_package_works_where_nothing_else_is_installed(programs: Path, tmp_path: Path) -> None:
    python = str(programs / "python")
    environment = {"AIRFLOW_HOME": str(tmp_path), "PATH": f"{programs}:{os.environ['PATH']}"}
    imported = "import flowjob.operators.flow_job as m; print(m.__file__)"
    assert (
        run([python, "-c", imported], environment)
        .strip()
        .endswith("site-packages/flowjob/operators/flow_job.py")
    )
    help_text = run([str(programs / "flowjob"), "--help"], environment)
    assert {"check", "render"} <= set(re.findall(r"\w+", help_text))
    listed = run([str(programs / "airflow"), "providers", "list", "--output=json"], environment)
    (provider,) = (
        each
        for each in json.loads(listed[listed.index("[{") :])
        if each["package_name"] == "airflow-provider-flowjob"
    )
    assert provider["version"] == flowjob.__version__
    spec = CHECKOUT / "dags" / "job_spec.yaml"
    run([str(programs / "flowjob"), "check", str(spec)], environment)
