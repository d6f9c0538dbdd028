"""`python3 -m tests.setup`: make the virtual environment, and install what tests need."""

import argparse
import os
import sys
from pathlib import Path

_CHECKOUT = Path(__file__).parents[2]
_OLDEST_PYTHON = (3, 11)


def main() -> int:
    """Do what the arguments ask for; return the exit code."""
    if sys.version_info < _OLDEST_PYTHON:
        print(
            f"FlowJob's development needs Python 3.11 or newer, and {sys.executable} is "
            f"{sys.version.split()[0]}; name another one: make PYTHON=python3.12 ...",
            file=sys.stderr,
        )
        return 1
    # Not before: an older Python might not even compile them.
    from tests.setup import debian, virtual_environment

    parser = argparse.ArgumentParser(prog="python3 -m tests.setup")
    parser.add_argument("--venv", default=".venv")
    parser.add_argument("--constraints", default="constraints.txt")
    parser.add_argument("--postgres", action="store_true", help="also install Postgres")
    parser.add_argument("--browser", action="store_true", help="also install Chromium")
    arguments = parser.parse_args()
    try:
        virtual_environment.ensure(_CHECKOUT / arguments.venv, _CHECKOUT / arguments.constraints)
        # Who brings a cluster of their own is promised that nothing is installed.
        may_install = not os.environ.get("KUBECONFIG")
        if arguments.postgres and may_install:
            debian.ensure_postgres()
        if arguments.browser and may_install:
            debian.ensure_chromium()
    except (virtual_environment.SetupError, debian.PackageError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
