"""Docker Compose: this machine's own, or one built from the go.mod beside this file."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.support.go_program import go_program

_HERE = Path(__file__).parent
_PACKAGE = "github.com/docker/compose/v2/cmd"


def compose_command() -> Sequence[str]:
    """Return the command to which Compose's arguments are added."""
    if shutil.which("docker") is not None:
        probe = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
        if probe.returncode == 0:
            return ["docker", "compose"]
    return [str(go_program(_HERE, _PACKAGE, "docker-compose", "2 to 8 minutes"))]
