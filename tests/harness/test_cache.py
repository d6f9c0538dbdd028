"""The cache that all checkouts of a user share never holds anything half made."""

import threading
from pathlib import Path

import pytest

from tests.support.node.cache import make_once


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "flowjob"


def test_what_was_made_is_found_again() -> None:
    def never(folder: Path) -> None:
        raise AssertionError(folder)

    made = make_once("thing-1", lambda folder: (folder / "file").touch())
    assert make_once("thing-1", never) == made
    assert (made / "file").exists()


def test_an_interrupted_making_is_begun_anew_and_leaves_nothing(cache: Path) -> None:
    def interrupted(folder: Path) -> None:
        (folder / "half").touch()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        make_once("thing-1", interrupted)
    assert not (cache / "thing-1").exists()
    made = make_once("thing-1", lambda folder: (folder / "whole").touch())
    assert [path.name for path in made.iterdir()] == ["whole"]
    assert {path.name for path in cache.iterdir()} == {"thing-1", "thing.lock"}


def test_two_at_the_same_time_make_it_once() -> None:
    makers = []
    begun, go_on = threading.Event(), threading.Event()

    def make(folder: Path) -> None:
        makers.append(folder)
        begun.set()
        assert go_on.wait(5)

    threads = [threading.Thread(target=make_once, args=("thing-1", make)) for _ in range(2)]
    for thread in threads:
        thread.start()
    assert begun.wait(5)
    go_on.set()
    for thread in threads:
        thread.join()
    assert len(makers) == 1
