"""A Docker engine of a test's own, from Debian's packages, beside whatever this machine has.

It runs in namespaces of its own, of the network, too: so its bridges, its firewall rules and the
ports that it publishes are seen in there alone, and all of it is gone when its first process is.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.support.node.cache import make_once
from tests.support.node.cgroups import cgroup_name, remove_cgroups
from tests.support.node.packages import ensure_packages
from tests.support.node.progress import run_long, step
from tests.support.wait import wait_for

_PACKAGES = ("docker.io", "tini")
_RUNC = Path(__file__).parent / "starts" / "runc.py"

# "$1" is the engine's folder, "$2" that of its programs, "$3" what starts a container,
# "$4" the control group of them all.
_SET_UP = """
mount --make-rshared /
mount -t tmpfs -o mode=755 tmpfs /run
ip link set lo up
export PATH="$2/usr/sbin:$2/usr/bin:$PATH"
exec dockerd --add-runtime "here=$3" --default-runtime here \
    --host "unix://$1/docker.sock" --data-root "$1/data" --exec-root "$1/exec" --pidfile "$1/pid" \
    --cgroup-parent "/$4" --userland-proxy-path "$2/usr/sbin/docker-proxy"
"""


class Engine:
    """A Docker engine that runs in `folder`."""

    def __init__(self, folder: Path, programs: Path) -> None:
        self.folder, self._programs = folder, programs
        self.environment = {**os.environ, "DOCKER_HOST": f"unix://{folder}/docker.sock"}
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and return when it answers; it dies with this process."""
        command = ["setpriv", "--pdeathsig", "KILL", "unshare", "--mount", "--pid", "--net"]
        command += ["--fork", "--mount-proc", "--propagation", "slave", "--kill-child"]
        command += ["sh", "-ec", _SET_UP, "sh", str(self.folder), str(self._programs)]
        command += [str(_RUNC), cgroup_name(self.folder)]
        with (self.folder / "dockerd.log").open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)

        def answers() -> bool:
            assert self._process is not None
            assert self._process.poll() is None, (self.folder / "dockerd.log").read_text()
            return self._docker("version").returncode == 0

        wait_for(answers, "the Docker engine", 60)

    def stop(self) -> None:
        """Kill it and all its containers, and remove what it has stored."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        remove_cgroups(self.folder)

        def is_removed() -> bool:
            # The kernel takes mounts away with the last process, a moment later.
            shutil.rmtree(self.folder, ignore_errors=True)
            return not self.folder.exists()

        wait_for(is_removed, f"{self.folder} to be removable", 30)

    def docker(self, *arguments: str) -> str:
        """Run a command of Docker's, and return what it says."""
        done = self._docker(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def import_image(self, name: str, layer: Path, **config: str) -> None:
        """Give the engine an image of one layer; `config` are instructions of a Dockerfile."""
        changes = [f"--change={key.upper()} {value}" for key, value in config.items()]
        self.docker("import", *changes, str(layer), name)

    def inside(self, *command: str) -> str:
        """Run a command of this machine's in the engine's network, and return what it says."""
        enter = ["nsenter", f"--target={self._first()}", "--net", "--"]
        done = subprocess.run([*enter, *command], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command[0]}: {done.stderr}"
        return done.stdout

    def _first(self) -> int:
        """Return the process whose network it is."""
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        return int(children.read_text().split()[0])

    def _docker(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self._programs / "usr" / "bin" / "docker"), *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )


@contextmanager
def running_engine(environment: Mapping[str, str] | None = None) -> Iterator[Engine]:
    """Run an engine until the block ends, or this process does."""
    ensure_packages()
    programs = make_once("docker-20", _fetch)
    engine = Engine(Path(tempfile.mkdtemp(prefix="flowjob-docker-")), programs)
    engine.environment |= environment or {}
    try:
        engine.start()
        yield engine
    finally:
        engine.stop()


def _fetch(folder: Path) -> None:
    """Unpack the packages, without their scripts, which would start an engine of the machine's."""
    with step("Fetching Debian's docker.io"):
        run_long(["apt-get", "download", *_PACKAGES], folder / "apt.log", folder)
        for package in folder.glob("*.deb"):
            run_long(["dpkg-deb", "-x", str(package), str(folder)], folder / "apt.log")
            package.unlink()
