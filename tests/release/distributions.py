"""Builds the wheel and the sdist, and installs the wheel where nothing else is."""

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]

_UV = str(Path(sys.executable).parent / "uv")
_TWINE = "twine==7.0.0"


@dataclass(frozen=True)
class Distributions:
    """The two files that are published."""

    wheel: Path
    sdist: Path


def build(folder: Path) -> Distributions:
    """Build both into a folder: the sdist from the checkout, and the wheel from the sdist."""
    run([_UV, "build", "--quiet", "--out-dir", str(folder), str(CHECKOUT)])
    (wheel,), (sdist,) = folder.glob("*.whl"), folder.glob("*.tar.gz")
    return Distributions(wheel, sdist)


def check(distributions: Distributions) -> str:
    """Return what twine says of both: the check that PyPI's page is rendered with."""
    command = [_UV, "tool", "run", "--quiet", "--from", _TWINE, "twine", "check", "--strict"]
    return run([*command, str(distributions.wheel), str(distributions.sdist)])


def install(wheel: Path, folder: Path) -> Path:
    """Install a wheel and what it requires into an empty environment; return its programs."""
    run([_UV, "venv", "--quiet", "--python", sys.executable, str(folder)])
    programs = folder / "bin"
    command = [_UV, "pip", "install", "--quiet", "--python", str(programs / "python")]
    run([*command, "--constraints", str(CHECKOUT / "constraints.txt"), str(wheel)])
    return programs


def run(command: list[str], environment: Mapping[str, str] | None = None) -> str:
    """Return what a command says, or fail with it."""
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        # Not in the checkout, whose package would be found before that of the wheel.
        cwd="/",
        env=environment,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"`{' '.join(command)}` failed: {done.stdout}"
    return done.stdout
