"""A real Prefect 3 of a test's own: its packages, made once, its server, and what users do there.

The packages are a folder in the cache, for the Python of this machine.
"""

import hashlib
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from tests.support.airflow.component import Component, ComponentError
from tests.support.airflow.sessions import Guard
from tests.support.free_port import free_port
from tests.support.node.cache import make_once
from tests.support.node.progress import step
from tests.support.wait import wait_for

# By generation: the packages, and what of those that they need is too new for them today.
_PACKAGES = {
    "0.15": ("prefect==0.15.13", "setuptools<66", "marshmallow<3.20"),
    "3": ("prefect==3.8.8", "fastapi>=0.139,<0.150"),
}
_START_SECONDS = 120.0

Json = dict[str, Any]


class PrefectRefusedError(RuntimeError):
    """Says what Prefect's API refused."""


def prefect_packages(generation: str = "3") -> Path:
    """Return the folder with a Prefect and all it needs, for this machine's `python3`."""
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin") or sys.executable
    version = subprocess.run([python, "--version"], check=True, capture_output=True, text=True)
    made_of = "\n".join([*_PACKAGES[generation], version.stdout, platform.machine()])
    digest = hashlib.sha256(made_of.encode()).hexdigest()

    def make(folder: Path) -> None:
        uv = str(Path(sys.executable).with_name("uv"))
        install = [uv, "pip", "install", "--quiet", "--python", python, "--compile-bytecode"]
        with step(f"Installing Prefect {generation} for the tests, once"):
            subprocess.run([*install, "--target", str(folder), *_PACKAGES[generation]], check=True)

    return make_once(f"prefect_packages_{generation}-{digest[:16]}", make)


class PrefectServer:
    """A Prefect server on this machine, with SQLite, and the client that tests talk to it with."""

    def __init__(self, folder: Path, guard: Guard) -> None:
        self.packages = prefect_packages()
        self.folder = folder
        self.port = free_port()
        self.api_url = f"http://127.0.0.1:{self.port}/api"
        self._component = Component(
            "Prefect server",
            [*self.command, "server", "start", "--host", "127.0.0.1", "--port", str(self.port)],
            log_file=folder / "server.log",
            environment=self.environment | {"PREFECT_SERVER_ANALYTICS_ENABLED": "false"},
            guard=guard,
        )
        self._http = httpx.Client(base_url=self.api_url, timeout=60.0, trust_env=False)

    @property
    def command(self) -> list[str]:
        """The command `prefect`."""
        return ["/usr/bin/python3", "-m", "prefect"]

    @property
    def environment(self) -> dict[str, str]:
        """What every Prefect of this folder needs in its environment."""
        return {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.folder),
            "PYTHONPATH": str(self.packages),
            "PREFECT_API_URL": self.api_url,
            "DO_NOT_TRACK": "1",
        }

    def start(self) -> None:
        """Start the server and wait until it answers."""
        self._component.start()
        try:
            wait_for(self._is_healthy, "the Prefect server to answer", _START_SECONDS)
        except TimeoutError as error:
            raise ComponentError(
                f"{error} Its log ends so:\n{self._component.log_tail()}"
            ) from None

    def stop(self) -> None:
        """Kill the server."""
        self._http.close()
        self._component.kill()

    def request(self, method: str, path: str, body: Any = None) -> Any:
        """Return the answer's JSON to a request below /api."""
        answer = self._http.request(method, path, json=body)
        if answer.is_error:
            raise PrefectRefusedError(f"{method} {path}: {answer.status_code} {answer.text}")
        return answer.json() if answer.content else None

    def deploy(self, entrypoint: str, folder: str, **more: Any) -> str:
        """Create a deployment of the flow `file.py:flow` in `folder`; return its full name."""
        flow = entrypoint.rpartition(":")[2]
        flow_id = self.request("POST", "/flows/", {"name": flow})["id"]
        step_name = "prefect.deployments.steps.set_working_directory"
        deployment = {
            "name": f"deployment-{uuid4().hex[:8]}",
            "flow_id": flow_id,
            "entrypoint": entrypoint,
            "pull_steps": [{step_name: {"directory": folder}}],
            "tags": ["deployed"],
            **more,
        }
        return f"{flow}/{self.request('POST', '/deployments/', deployment)['name']}"

    def deployment(self, name: str) -> Json:
        """Return the deployment of that full name."""
        found: Json = self.request("GET", f"/deployments/name/{name}")
        return found

    def flow_run(self, run_id: str) -> Json:
        """Return a flow run."""
        found: Json = self.request("GET", f"/flow_runs/{run_id}")
        return found

    def flow_runs(self, tag: str | None = None) -> list[Json]:
        """Return the flow runs, or those with a tag."""
        wanted = {"flow_runs": {"tags": {"all_": [tag]}}} if tag else {}
        found: list[Json] = self.request("POST", "/flow_runs/filter", wanted)
        return found

    def set_state(self, run_id: str, state: str, **more: Any) -> Json:
        """Set a state as anybody may; return what the server makes of it."""
        body = {"state": {"type": state, **more}}
        answer: Json = self.request("POST", f"/flow_runs/{run_id}/set_state", body)
        return answer

    def wait_for_state(self, run_id: str, states: Sequence[str], seconds: float = 60.0) -> str:
        """Wait until the flow run has one of these types of states."""

        def reached() -> str | None:
            now: str = self.flow_run(run_id)["state_type"]
            return now if now in states else None

        return wait_for(reached, f"the flow run {run_id} to be {' or '.join(states)}", seconds)

    def _is_healthy(self) -> bool:
        self._component.check_running()
        try:
            return self._http.get("/health").is_success
        except httpx.TransportError:
            return False


@contextmanager
def running_prefect(folder: Path) -> Iterator[PrefectServer]:
    """Run a Prefect server until the block ends, or this process does."""
    guard = Guard()
    try:
        server = PrefectServer(folder, guard)
        try:
            server.start()
            yield server
        finally:
            server.stop()
    finally:
        guard.close()
