"""The process and mount namespaces that everything of a node runs in.

Whatever the node starts or mounts lives in there: container shims that outlive the container
runtime, volumes of pods, network namespaces, the fixed paths below /run, /var/lib and /var/log that
the container runtime and the kubelet cannot be told to change. The kernel takes all of it away
when the first process of the namespace is killed, however badly the node was left.
"""

import subprocess
from pathlib import Path

from tests.support.node import processes
from tests.support.node.errors import NodeError
from tests.support.wait import wait_for

# Paths that the node sees a version of its own of; its folder must be outside.
PRIVATE_PATHS = ("/run", "/var/run", "/var/lib", "/var/log")

# What the kubelet wants the kernel to be set to. It reads and writes files of ours in their place,
# so that the machine keeps its own settings.
_KERNEL_SETTINGS = {
    "vm/overcommit_memory": 1,
    "vm/panic_on_oom": 0,
    "kernel/panic": 10,
    "kernel/panic_on_oops": 1,
    "kernel/keys/root_maxkeys": 1000000,
    "kernel/keys/root_maxbytes": 25000000,
}

# The program that the first process of the namespaces ends up as.
_FIRST = "sleep"

# "$1" is the node's folder. The last line's process is the first of the namespace: since it ignores
# SIGCHLD, the kernel itself reaps the orphans that come to it.
_SET_UP = """
mount --make-rshared /
mount -t tmpfs -o mode=755 tmpfs /run
mount -t tmpfs -o mode=755 tmpfs /var/log
mkdir -p /run/var-lib/upper /run/var-lib/work
mount -t overlay -o lowerdir=/var/lib,upperdir=/run/var-lib/upper,workdir=/run/var-lib/work \
    overlay /var/lib
cd "$1/kernel"
find . -type f | while read -r setting; do
    mount --bind "$setting" "/proc/sys/$setting"
done
cd /
touch "$1/sandbox-is-ready"
exec env --ignore-signal=CHLD sleep infinity
"""


# The program becomes a child of the sandbox's first process, for the shell ends at once.
_START = '"$@" &'


class Sandbox:
    """Starts programs inside the namespaces of the node in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._outside: subprocess.Popen[bytes] | None = None

    def open(self, ends_with_caller: bool) -> None:
        """Create the namespaces; with `ends_with_caller` they die when this process does."""
        for name, value in _KERNEL_SETTINGS.items():
            setting = self._folder / "kernel" / name
            setting.parent.mkdir(parents=True, exist_ok=True)
            setting.write_text(f"{value}\n")
        command = ["unshare", "--mount", "--pid", "--fork", "--mount-proc"]
        command += ["--propagation", "slave"]
        if ends_with_caller:
            command = ["setpriv", "--pdeathsig", "KILL", *command, "--kill-child"]
        outside = self._run("sandbox", [*command, "sh", "-ec", _SET_UP, "sh", str(self._folder)])
        self._outside = outside
        ready = self._folder / "sandbox-is-ready"
        wait_for(lambda: ready.exists() or outside.poll() is not None, "the sandbox", 10)
        self._await(_FIRST, "sandbox")

    def start(self, program: Path, arguments: list[str]) -> None:
        """Start a program inside, in the node's folder, its output added to a log of its name."""
        first = processes.find(self._folder, _FIRST)
        if not first:
            raise NodeError(f"No node runs in {self._folder}; start one there first.")
        enter = ["nsenter", f"--target={first[0]}", "--mount", "--pid", f"--wd={self._folder}"]
        shell = ["sh", "-c", _START, "sh", str(program), *arguments]
        self._run(program.name, [*enter, "--", *shell]).wait()
        self._await(program.name, program.name)

    def require(self, *programs: str) -> None:
        """Raise an error with the end of the log if one of these programs does not run."""
        for program in programs:
            if not processes.find(self._folder, program):
                raise self._ended(program)

    def close(self) -> None:
        """Kill everything inside."""
        processes.kill_all(self._folder)
        if self._outside is not None:
            self._outside.wait()

    def _await(self, program: str, log: str) -> None:
        """Wait until the shell that starts a program has become it."""
        try:
            wait_for(lambda: processes.find(self._folder, program), program, 5)
        except TimeoutError:
            raise self._ended(log) from None

    def _ended(self, name: str) -> NodeError:
        tail = (self._folder / "log" / f"{name}.log").read_text(errors="replace").splitlines()[-10:]
        return NodeError(
            f"{name} of the node in {self._folder} has ended by itself; its last lines tell what "
            "to correct:\n" + "\n".join(tail)
        )

    def _run(self, name: str, command: list[str]) -> subprocess.Popen[bytes]:
        with (self._folder / "log" / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                command,
                env=processes.environment(self._folder),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # A Ctrl-C at the terminal is meant for the tests, which then stop the node.
                start_new_session=True,
            )
