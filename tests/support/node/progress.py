"""Says on standard error which long step runs and how long it took."""

import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.node.errors import NodeError

_REMINDER_SECONDS = 20.0


def say(message: str) -> None:
    """Print one line of progress."""
    print(message, file=sys.stderr, flush=True)


@contextmanager
def step(what: str) -> Iterator[None]:
    """Name a step when it begins, and say how long it took when it ends well."""
    say(f"{what} ...")
    started = time.monotonic()
    yield
    say(f"{what}: done in {time.monotonic() - started:.0f} s")


def run_long(
    command: Sequence[str],
    log: Path,
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> None:
    """Run a command of minutes, its output in `log`, with a sign of life now and then."""
    started = time.monotonic()
    with log.open("ab") as output:
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=output, stderr=output
        )
    try:
        while True:
            try:
                code = process.wait(_REMINDER_SECONDS)
                break
            except subprocess.TimeoutExpired:
                say(f"  still at it after {time.monotonic() - started:.0f} s")
    except BaseException:
        process.kill()
        process.wait()
        raise
    if code != 0:
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
        raise NodeError(
            f"The command `{' '.join(command[:3])} ...` ended with exit code {code}; "
            f"correct what its last lines say and run it again:\n{tail}"
        )
