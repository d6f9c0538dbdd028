"""`python -m tests.support.build`: make what the tests need and the cache lacks.

That takes minutes the first time. Done before the tests start, its progress is seen, and no
worker waits for another.
"""

import os
import sys

from tests.compose.program import compose_command
from tests.support.kustomize import kustomize
from tests.support.node import node
from tests.support.node.errors import NodeError
from tests.support.prefect import GENERATIONS, prefect_packages


def main() -> int:
    """Build, and return the exit code."""
    try:
        # Who brings a cluster of their own needs no node.
        if not os.environ.get("KUBECONFIG"):
            node.build()
        compose_command()
        kustomize()
        for generation in GENERATIONS:
            prefect_packages(generation)
    except NodeError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
