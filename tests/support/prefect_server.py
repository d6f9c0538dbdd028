"""A real Prefect 3 server of a test's own, and what users do there."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from tests.support.airflow.component import Component, ComponentError
from tests.support.airflow.sessions import Guard
from tests.support.free_port import free_port
from tests.support.prefect import prefect_packages
from tests.support.wait import wait_for

_START_SECONDS = 120.0

Json = dict[str, Any]


class PrefectRefusedError(RuntimeError):
    """Says what Prefect's API refused."""


class PrefectServer:
    """A Prefect server on this machine, with SQLite, and the client that tests talk to it with."""

    def __init__(self, folder: Path, guard: Guard) -> None:
        self.packages = prefect_packages("3")
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
        """Return the answer's JSON to a request below /api.

        While its SQLite is locked, as right after its start, the server answers with 503, and its
        own clients ask again.
        """

        def answered() -> httpx.Response | None:
            answer = self._http.request(method, path, json=body)
            return None if answer.status_code == httpx.codes.SERVICE_UNAVAILABLE else answer

        answer = wait_for(answered, f"Prefect's database to be free for {method} {path}", 60)
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
