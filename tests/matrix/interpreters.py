"""Finds a Python of a version on this machine, or has uv bring one."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

_UV = str(Path(sys.executable).parent / "uv")


def interpreter(version: str) -> str:
    """Return a Python of a version such as 3.12.

    :raises CalledProcessError: there is none, and uv cannot bring one.
    """
    for candidate in _candidates(version):
        if _is_of(candidate, version):
            return candidate
    subprocess.run([_UV, "python", "install", "--quiet", version], check=True)
    found = [_UV, "python", "find", "--managed-python", version]
    return subprocess.run(found, capture_output=True, text=True, check=True).stdout.strip()


def _candidates(version: str) -> Iterator[str]:
    yield sys.base_prefix + "/bin/python3"
    # Before those on the path, where pyenv has programs that only say which versions there are.
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    for folder in sorted((root / "versions").glob(f"{version}*"), reverse=True):
        yield str(folder / "bin" / "python3")
    if (on_path := shutil.which(f"python{version}")) is not None:
        yield on_path


def _is_of(python: str, version: str) -> bool:
    said = "import sys; print('%s.%s' % sys.version_info[:2])"
    try:
        done = subprocess.run([python, "-c", said], capture_output=True, text=True, check=False)
    except OSError:
        return False
    return done.returncode == 0 and done.stdout.strip() == version
