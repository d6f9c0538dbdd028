"""A virtual environment with the package, its development tools, and Airflow."""

import hashlib
import importlib.util
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.setup import debian
from tests.support.node.progress import step

_CHECKOUT = Path(__file__).parents[2]
_UV = "uv==0.13.9"
# Tells of what the environment was made; written last, so that a half-made one has none.
_STAMP = ".made-of"


class SetupError(RuntimeError):
    """Says in one sentence why there is no virtual environment, and what to do."""


def ensure(folder: Path, constraints: Path) -> None:
    """Make the environment, unless it was made of the same things already."""
    made_of = _made_of(constraints)
    stamp = folder / _STAMP
    if stamp.exists() and stamp.read_text() == made_of:
        return
    if folder.exists():
        shutil.rmtree(folder)
    _ensure_venv_module()
    python = str(folder / "bin" / "python")
    with step(f"Making the virtual environment {folder.name}"):
        _run([sys.executable, "-m", "venv", str(folder)])
        _run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", _UV])
    with step(f"Installing Airflow and the development tools of {constraints.name}"):
        uv = [str(folder / "bin" / "uv"), "pip", "install", "--quiet", "--python", python]
        # Compiled now, or each of Airflow's processes would compile for itself.
        uv += ["--compile-bytecode", "--constraints", str(constraints), "--editable", ".[dev]"]
        _run(uv)
    stamp.write_text(made_of)


def _made_of(constraints: Path) -> str:
    digest = hashlib.sha256(f"{sys.version}\n{_UV}\n".encode())
    for file in (_CHECKOUT / "pyproject.toml", constraints):
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _ensure_venv_module() -> None:
    # Debian packs it apart from Python.
    if importlib.util.find_spec("ensurepip") is not None:
        return
    if not debian.can_install():
        raise SetupError(
            f"The Python {sys.executable} cannot make virtual environments, as it has no module "
            "`ensurepip`; install it (Debian: apt-get install python3-venv)."
        )
    debian.install("python3-venv")


def _run(command: Sequence[str]) -> None:
    done = subprocess.run(command, cwd=_CHECKOUT, stdin=subprocess.DEVNULL, check=False)
    if done.returncode != 0:
        raise SetupError(
            f"`{' '.join(command)}` ended with exit code {done.returncode}; see what it says above."
        )
