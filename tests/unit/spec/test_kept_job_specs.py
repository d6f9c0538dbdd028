"""A job spec file is read once for all operators that name it, and again when it changes."""

from __future__ import annotations

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from flowjob.exceptions import JobSpecError
from flowjob.spec.job_spec import JobSpec
from tests.unit.spec.test_job_spec import CONTAINER, SPEC
from tests.unit.test_flow_run import FLOW_RUN

# As old as a file in a repository; one that was changed just now may change again unseen.
LONG_AGO = time.time_ns() - 3600 * 10**9


def write(file: Path, name: str = "report", modified: int = LONG_AGO) -> None:
    file.write_text(SPEC.replace("name: report", f"name: {name}"))
    os.utime(file, ns=(modified, modified))


@pytest.fixture
def file(tmp_path: Path) -> Path:
    write(tmp_path / "spec.yaml")
    return tmp_path / "spec.yaml"


def test_a_file_that_many_operators_name_is_read_once(file: Path) -> None:
    first = JobSpec.from_file(file)
    paths: list[str | Path] = [file, str(file)]
    assert all(JobSpec.from_file(path) is first for path in paths * 10)


def test_a_changed_file_is_read_again(file: Path) -> None:
    JobSpec.from_file(file)
    write(file, "repeat", LONG_AGO + 1)
    assert JobSpec.from_file(file).base_name == "repeat"


def test_a_change_that_leaves_the_time_is_seen_by_the_size(file: Path) -> None:
    JobSpec.from_file(file)
    write(file, "reports")
    assert JobSpec.from_file(file).base_name == "reports"


def test_a_link_that_is_moved_to_a_file_as_old_and_as_large_is_followed(
    file: Path, tmp_path: Path
) -> None:
    write(tmp_path / "next.yaml", "repeat")
    link = tmp_path / "link.yaml"
    link.symlink_to(file)
    JobSpec.from_file(link)
    link.unlink()
    link.symlink_to(tmp_path / "next.yaml")
    assert JobSpec.from_file(link).base_name == "repeat"


def test_changes_that_the_clock_of_the_file_system_cannot_tell_apart_are_seen(file: Path) -> None:
    now = time.time_ns()
    for name in ("report", "repeat", "redoes"):
        write(file, name, now)
        assert JobSpec.from_file(file).base_name == name


def test_a_mended_file_is_read_as_soon_as_it_is_mended(file: Path) -> None:
    file.write_text("kind: Pod")
    for _ in range(2):
        with pytest.raises(JobSpecError, match="the job spec is a None/Pod"):
            JobSpec.from_file(file)
    write(file)
    assert JobSpec.from_file(file).base_name == "report"


def test_a_file_that_is_gone_is_not_served_from_memory(file: Path) -> None:
    JobSpec.from_file(file)
    file.unlink()
    with pytest.raises(JobSpecError, match=r"cannot read the job spec .*: No such file"):
        JobSpec.from_file(file)


def test_what_one_flow_run_makes_of_it_does_not_reach_the_next(file: Path) -> None:
    def job() -> dict[str, object]:
        spec = JobSpec.from_file(file)
        spec.container_names.clear()
        return spec.for_flow_run(FLOW_RUN, CONTAINER, namespace="flows", name=None)

    first = job()
    for value in [first["metadata"], first["spec"]]:
        assert isinstance(value, dict)
        value.clear()
    assert job() == JobSpec.from_text(SPEC, "spec.yaml").for_flow_run(
        FLOW_RUN, CONTAINER, namespace="flows", name=None
    )


def test_threads_may_load_files_at_once(tmp_path: Path) -> None:
    files = [tmp_path / f"{number}.yaml" for number in range(4)]
    for file in files:
        write(file, f"n{file.stem}")
    start = Barrier(8, timeout=60)

    def load(_: int) -> list[str | None]:
        start.wait()
        return [JobSpec.from_file(file).base_name for file in files * 20]

    with ThreadPoolExecutor(8) as threads:
        for names in threads.map(load, range(8)):
            assert names == [f"n{file.stem}" for file in files] * 20
