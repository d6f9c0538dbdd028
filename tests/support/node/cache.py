"""The cache outside the checkout, for what is slow to make: each entry is whole or absent."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.node.progress import say

_UNFINISHED = ".unfinished-"


def cache_folder() -> Path:
    """Return the project's cache folder, which all checkouts of a user share."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base).resolve() / "flowjob"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def make_once(name: str, make: Callable[[Path], None]) -> Path:
    """Return the cache entry `name`; if it is absent, let `make` fill a folder that becomes it.

    A second process waits for the first. An interrupted one leaves only an unfinished folder,
    which the next one throws away.
    """
    entry = cache_folder() / name
    if entry.is_dir():
        return entry
    kind = name.rpartition("-")[0]
    with _lock(kind):
        if not entry.is_dir():
            for leftover in cache_folder().glob(f"{_UNFINISHED}{kind}-*"):
                shutil.rmtree(leftover)
            folder = Path(tempfile.mkdtemp(prefix=f"{_UNFINISHED}{kind}-", dir=cache_folder()))
            folder.chmod(0o755)
            make(folder)
            folder.rename(entry)
    return entry


@contextmanager
def _lock(kind: str) -> Iterator[None]:
    with (cache_folder() / f"{kind}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"Waiting for another process that makes the same ({kind}) ...")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
