"""containerd, built from the go.mod beside this file.

Debian's 1.6.20 closes a container's output when the container ends, and what the container has
written last is in no log then, above all on a busy machine: 1.6.22 and 1.7.3 are the first that
take it to its end.
"""

from pathlib import Path

from tests.support.go_program import go_program

_HERE = Path(__file__).parent
_PACKAGE = "github.com/containerd/containerd/cmd/containerd"


def containerd() -> Path:
    """Return the program, building it if the cache does not have it."""
    return go_program(_HERE, _PACKAGE, "containerd", "2 to 5 minutes")
