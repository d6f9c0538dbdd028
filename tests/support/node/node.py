"""One real Kubernetes node on this machine, in a folder of its own.

All that is known of a node follows from its folder, so any process can stop it or pause its API
server, also when the one that started it is gone.
"""

import http.client
import json
import shutil
import signal
import ssl
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.support.node import processes
from tests.support.node.binaries import ensure_binaries
from tests.support.node.cgroups import create_cgroups, remove_cgroups
from tests.support.node.configuration import NODE_NAME, Configuration
from tests.support.node.containerd import containerd
from tests.support.node.errors import NodeError
from tests.support.node.images import import_images
from tests.support.node.layers import ensure_layers
from tests.support.node.network import claim_network, find_network, release_network
from tests.support.node.packages import ensure_packages
from tests.support.node.sandbox import PRIVATE_PATHS, Sandbox
from tests.support.wait import wait_for

_START_SECONDS = 120.0
# Flags can make the API server wait for its open watches for as long as a minute.
_STOP_SECONDS = 75.0
_LONGEST_FOLDER = 80
_API_SERVER = "kube-apiserver"
# By this file `stop` knows that it may remove the folder.
_MARK_FILE = "flowjob-node"


class Node:
    """A node that runs, or is to run, in `folder`.

    :param names: by which its API server is to be reached, beside this machine's own.
    """

    def __init__(self, folder: Path, names: Sequence[str] = ()) -> None:
        self.folder = folder.resolve()
        self._names = names
        self._sandbox = Sandbox(self.folder)

    @property
    def kubeconfig(self) -> Path:
        """The administrator's kubeconfig."""
        return self.folder / "kubeconfig"

    @property
    def audit_log(self) -> Path:
        """The API server's audit log; see `tests.support.audit`."""
        return self.folder / "log" / "audit.log"

    def configuration(self) -> Configuration:
        """Where the running node has its files and ports."""
        return Configuration(self.folder, find_network(self.folder))

    # --- the whole node ---------------------------------------------------------------------

    def start(
        self, ends_with_caller: bool = False, report: Callable[[str], None] = lambda _: None
    ) -> None:
        """Start the node, and return when it runs pods; on failure nothing is left of it.

        With `ends_with_caller` its processes die with this process, even if that is killed.
        `report` is told how far the start has come.
        """
        binaries, layers = build()
        self._check_folder()
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        try:
            self._start(binaries, layers, ends_with_caller, report)
        except BaseException as error:
            # Also on Ctrl-C: who starts a node has no handle to stop it by until this returns.
            self._keep_logs_for(error)
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the node, whatever state it is in, and remove all of it."""
        self._sandbox.close()
        release_network(self.folder)
        remove_cgroups(self.folder)
        if (self.folder / _MARK_FILE).exists():
            shutil.rmtree(self.folder)
        elif self.folder.exists():
            self._remove_empty_folder()

    def heal(self) -> None:
        """Undo what a test did to the API server: it runs, and the node is ready."""
        self.resume_api_server()
        if not processes.find(self.folder, _API_SERVER):
            self.start_api_server()
        self._await_ready()

    # --- the API server ---------------------------------------------------------------------

    def stop_api_server(self) -> None:
        """Let the API server end by itself (SIGTERM), and wait until it has."""
        self._end_api_server(signal.SIGTERM)

    def kill_api_server(self) -> None:
        """End the API server at once (SIGKILL)."""
        self._end_api_server(signal.SIGKILL)

    def start_api_server(self, *further_flags: str) -> None:
        """Start the API server again on its port, and wait until it answers.

        The controllers are started anew, too: by themselves they come back after up to a minute of
        back-off. The kubelet is left alone, as it may refuse its pods when it starts.
        """
        if processes.find(self.folder, _API_SERVER):
            raise NodeError(f"The API server of {self.folder} runs already; stop it first.")
        configuration, binaries = self.configuration(), ensure_binaries()
        arguments = [*configuration.api_server(), *further_flags]
        self._sandbox.start(binaries / _API_SERVER, arguments)
        self._await_api_server()
        for name, arguments in configuration.controllers().items():
            processes.end(self.folder, name, signal.SIGKILL, _STOP_SECONDS)
            self._sandbox.start(binaries / name, arguments)

    def pause_api_server(self) -> None:
        """Make the API server hang: it keeps its connections and answers nothing (SIGSTOP)."""
        self._signal_api_server(signal.SIGSTOP)

    def resume_api_server(self) -> None:
        """Let a paused API server go on."""
        self._signal_api_server(signal.SIGCONT, must_run=False)

    # --- how it is done ---------------------------------------------------------------------

    def _check_folder(self) -> None:
        if len(str(self.folder)) > _LONGEST_FOLDER:
            raise NodeError(
                f"The folder {self.folder} has a path too long for the sockets in it; choose one "
                f"of at most {_LONGEST_FOLDER} characters."
            )
        for path in PRIVATE_PATHS:
            if self.folder.is_relative_to(path):
                raise NodeError(
                    f"The node sees a {path} of its own, so its folder {self.folder} cannot be "
                    "there; choose one below /tmp, for example."
                )
        if self.folder.exists() and any(self.folder.iterdir()):
            raise NodeError(
                f"The folder {self.folder} is not empty; if a node is or was in it, stop that "
                f"first with `python -m tests.support.node down {self.folder}`."
            )

    def _remove_empty_folder(self) -> None:
        try:
            self.folder.rmdir()
        except OSError as error:
            raise NodeError(
                f"The folder {self.folder} is no node's, so it stays as it is; name the folder "
                "that the node was started in."
            ) from error

    def _start(
        self,
        binaries: Path,
        layers: Path,
        ends_with_caller: bool,
        report: Callable[[str], None],
    ) -> None:
        (self.folder / _MARK_FILE).touch()
        (self.folder / "log").mkdir()
        configuration = Configuration(self.folder, claim_network(self.folder), self._names)
        configuration.write()
        report(f"the network is {configuration.network.bridge}, {configuration.network.subnet}")
        create_cgroups(self.folder)
        sandbox = self._sandbox
        sandbox.open(ends_with_caller)
        sandbox.start(containerd(), configuration.containerd())
        sandbox.start(binaries / "etcd", configuration.etcd())
        sandbox.start(binaries / _API_SERVER, configuration.api_server())
        imports = _Background(lambda: self._import_images(layers, configuration))
        self._await_api_server()
        report(f"the API server listens on port {configuration.network.api_server_port}")
        for name, arguments in configuration.controllers().items():
            sandbox.start(binaries / name, arguments)
        sandbox.start(binaries / "kubelet", configuration.kubelet())
        imports.join()
        report("the images are imported")
        self._await_ready()
        sandbox.require(*(path.name for path in binaries.iterdir() if path.suffix != ".log"))

    def _import_images(self, layers: Path, configuration: Configuration) -> None:
        socket = configuration.containerd_socket

        def is_up() -> bool:
            self._sandbox.require("containerd")
            return socket.exists()

        wait_for(is_up, f"containerd's socket {socket}", _START_SECONDS)
        import_images(layers, socket)

    def _await_api_server(self) -> None:
        def is_up() -> bool:
            self._sandbox.require(_API_SERVER)
            return self._get("/readyz") == "ok"

        wait_for(is_up, f"the API server of {self.folder} to be ready", _START_SECONDS)

    def _await_ready(self) -> None:
        wait_for(self._runs_pods, f"the node in {self.folder} to be ready", _START_SECONDS)

    def _runs_pods(self) -> bool:
        text = self._get(f"/api/v1/nodes/{NODE_NAME}")
        account = self._get("/api/v1/namespaces/default/serviceaccounts/default")
        if text is None or account is None:
            return False
        node: dict[str, Any] = json.loads(text)
        conditions = {item["type"]: item["status"] for item in node["status"]["conditions"]}
        return conditions.get("Ready") == "True" and not node["spec"].get("taints")

    def _get(self, path: str) -> str | None:
        """Return what the API server answers; None where it does not, or not with 200."""
        kubeconfig = yaml.safe_load(self.kubeconfig.read_text())
        cluster, user = kubeconfig["clusters"][0]["cluster"], kubeconfig["users"][0]["user"]
        context = ssl.create_default_context(cafile=cluster["certificate-authority"])
        context.load_cert_chain(user["client-certificate"], user["client-key"])
        address = cluster["server"].removeprefix("https://")
        connection = http.client.HTTPSConnection(address, context=context, timeout=5)
        try:
            connection.request("GET", path)
            response = connection.getresponse()
            text = response.read().decode()
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()
        return text if response.status == 200 else None

    def _end_api_server(self, number: signal.Signals) -> None:
        if not processes.end(self.folder, _API_SERVER, number, _STOP_SECONDS):
            raise self._no_api_server()

    def _signal_api_server(self, number: signal.Signals, must_run: bool = True) -> None:
        if not processes.send(self.folder, _API_SERVER, number) and must_run:
            raise self._no_api_server()

    def _no_api_server(self) -> NodeError:
        return NodeError(f"The API server of {self.folder} does not run; start it first.")

    def _keep_logs_for(self, error: BaseException) -> None:
        if isinstance(error, TimeoutError):
            for log in sorted((self.folder / "log").glob("*.log")):
                if log.name != self.audit_log.name:
                    tail = log.read_text(errors="replace").splitlines()[-5:]
                    error.add_note("\n".join([f"{log.name} ends with:", *tail]))


class _Background:
    """Does one thing in a thread; `join` raises what went wrong in it."""

    def __init__(self, action: Callable[[], None]) -> None:
        self._action = action
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._action()
        except Exception as error:
            self._error = error

    def join(self) -> None:
        self._thread.join()
        if self._error is not None:
            raise self._error


@contextmanager
def running_node() -> Iterator[Node]:
    """Run a node until the block ends, or this process does."""
    # Neither pytest's folder nor another: their paths may be too long for Unix sockets.
    node = Node(Path(tempfile.mkdtemp(prefix="flowjob-node-")))
    node.start(ends_with_caller=True)
    try:
        yield node
    finally:
        node.stop()


def build() -> tuple[Path, Path]:
    """Make what nodes are made of and the cache lacks; return the binaries' and layers' folders."""
    ensure_packages()
    containerd()
    return ensure_binaries(), ensure_layers()
