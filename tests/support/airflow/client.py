"""A client of Airflow's REST API, with the waiting that tests need."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar
from urllib.parse import quote

import httpx

from tests.support.wait import wait_for

T = TypeVar("T")
Json = dict[str, Any]

FINISHED_STATES = frozenset({"success", "failed"})
_POLL_SECONDS = 0.2
_EVIDENCE_LINES = 40


class AirflowClientError(RuntimeError):
    """Says what Airflow refused, or what was awaited in vain, with the evidence."""


class AirflowUnreachableError(AirflowClientError):
    """Says that the API server gave no answer, as while it is started again."""


class AirflowServerError(AirflowClientError):
    """Says that the API server failed, as when its transaction lost against the scheduler's."""


class AirflowNotFoundError(AirflowClientError):
    """Says that there is no such thing."""


class AirflowClient:
    """What a user does in Airflow's web UI, through the REST API that the UI itself uses.

    `evidence` tells, for the error after a time-out, what the logs of Airflow's processes say.
    """

    def __init__(self, base_url: str, evidence: Callable[[], str] = lambda: "") -> None:
        self._base_url = base_url
        self._evidence = evidence
        # (dag id, run id) of each, in order.
        self.triggered: list[tuple[str, str]] = []
        self._http = httpx.Client(base_url=base_url, timeout=60.0, trust_env=False)

    def health(self) -> Json:
        """Return the health of Airflow's processes, as they report it."""
        return self._http.get("/api/v2/monitor/health").raise_for_status().json()  # type: ignore[no-any-return]

    def prepare_for_tasks(self, timeout: float) -> None:
        """Let the API server make what it answers tasks with.

        It does that at the first request, in ten seconds of a processor's time. Were that request a
        task's, the scheduler would wait for the rows that it locks, and miss its heartbeat.
        """
        self._http.get("/execution/health", timeout=timeout)

    def request(self, method: str, path: str, **arguments: Any) -> Any:
        """Return the answer's JSON to a request below /api/v2."""
        response = self._send(method, path, **arguments)
        return response.json() if response.content else None

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    # DAGs

    def dags(self) -> list[Json]:
        """Return all DAGs."""
        dags: list[Json] = self.request("GET", "dags", params={"limit": 100})["dags"]
        return dags

    def import_errors(self) -> dict[str, str]:
        """Return the stack trace of each DAG file that cannot be imported, by file name."""
        errors = self.request("GET", "importErrors", params={"limit": 100})["import_errors"]
        return {error["filename"]: error["stack_trace"] for error in errors}

    def wait_for_dag(self, dag_id: str, timeout: float = 60.0) -> Json:
        """Wait until the DAG processor has read the DAG, and return it."""

        def dag() -> Json | None:
            try:
                found: Json = self.request("GET", f"dags/{dag_id}")
            except AirflowNotFoundError:
                return None
            return found

        def seen() -> str:
            ids = [dag["dag_id"] for dag in self.dags()]
            return f"DAGs: {ids}\nimport errors: {self.import_errors()}"

        return self.wait_for(dag, f"the DAG {dag_id}", timeout, seen)

    # Runs

    def trigger(
        self,
        dag_id: str,
        conf: Json | None = None,
        logical_date: str | None = None,
        run_id: str | None = None,
    ) -> str:
        """Unpause the DAG and start a run of it, as the UI's trigger form does; return its id."""
        self.wait_for_dag(dag_id)
        self.request("PATCH", f"dags/{dag_id}", json={"is_paused": False})
        body = {
            "dag_run_id": run_id,
            "conf": conf or {},
            "logical_date": logical_date,
            "data_interval_start": None,
            "data_interval_end": None,
            "note": None,
        }
        created: str = self.request("POST", f"dags/{dag_id}/dagRuns", json=body)["dag_run_id"]
        self.triggered.append((dag_id, created))
        self.wait_for(lambda: self._is_there(dag_id, created), f"the run {created}", timeout=10)
        return created

    def dag_run(self, dag_id: str, run_id: str) -> Json:
        """Return one run."""
        run: Json = self.request("GET", _run(dag_id, run_id))
        return run

    def dag_runs(self, dag_id: str) -> list[Json]:
        """Return all runs of a DAG."""
        runs: list[Json] = self.request(
            "GET", f"dags/{dag_id}/dagRuns", params={"limit": 100, "order_by": "run_after"}
        )["dag_runs"]
        return runs

    def wait_for_run(
        self,
        dag_id: str,
        run_id: str,
        timeout: float = 120.0,
        states: Sequence[str] | frozenset[str] = FINISHED_STATES,
    ) -> str:
        """Wait until the run is in one of the states (by default, finished); return the state."""

        def state() -> str | None:
            now: str = self.dag_run(dag_id, run_id)["state"]
            return now if now in states else None

        what = f"the run {run_id} of {dag_id} to be {' or '.join(sorted(states))}"
        return self.wait_for(state, what, timeout, lambda: self.run_evidence(dag_id, run_id))

    def set_run_state(self, dag_id: str, run_id: str, state: str) -> None:
        """Mark a run as success or failed."""
        self.request("PATCH", _run(dag_id, run_id), json={"state": state})

    def delete_run(self, dag_id: str, run_id: str) -> None:
        """Delete a run."""
        self.request("DELETE", _run(dag_id, run_id))

    # Task instances

    def task_instances(self, dag_id: str, run_id: str) -> list[Json]:
        """Return the run's task instances."""
        instances: list[Json] = self.request(
            "GET", f"{_run(dag_id, run_id)}/taskInstances", params={"limit": 100}
        )["task_instances"]
        return instances

    def count_task_instances(self, dag_id: str, run_id: str, state: str | None = None) -> int:
        """Return how many of the run's task instances are in a state, or how many there are."""
        params: Json = {"limit": 1} if state is None else {"limit": 1, "state": state}
        path = f"{_run(dag_id, run_id)}/taskInstances"
        count: int = self.request("GET", path, params=params)["total_entries"]
        return count

    def task_instance(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> Json:
        """Return one task instance."""
        path = f"{_task(dag_id, run_id, task_id)}{_map(map_index)}"
        instance: Json = self.request("GET", path)
        return instance

    def wait_for_task(
        self,
        dag_id: str,
        run_id: str,
        task_id: str,
        states: Sequence[str],
        *,
        map_index: int = -1,
        try_number: int = 0,
        timeout: float = 120.0,
    ) -> Json:
        """Wait until the task instance is in one of the states, in this try or a later one."""

        def reached() -> Json | None:
            now = self.task_instance(dag_id, run_id, task_id, map_index)
            return now if now["state"] in states and now["try_number"] >= try_number else None

        what = f"the task {task_id} of {dag_id}, run {run_id}, to be {' or '.join(states)}"
        return self.wait_for(reached, what, timeout, lambda: self.run_evidence(dag_id, run_id))

    def set_state(
        self, dag_id: str, run_id: str, task_id: str, state: str, map_index: int = -1
    ) -> None:
        """Mark a task instance as success or failed."""
        path = f"{_task(dag_id, run_id, task_id)}{_map(map_index)}"
        self.request("PATCH", path, json={"new_state": state})

    def clear(self, dag_id: str, run_id: str, task_ids: Sequence[str], **options: Any) -> None:
        """Clear task instances, so that they run again."""
        body = {
            "dry_run": False,
            "dag_run_id": run_id,
            "task_ids": list(task_ids),
            "only_failed": False,
            **options,
        }
        self.request("POST", f"dags/{dag_id}/clearTaskInstances", json=body)

    def xcoms(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> Json:
        """Return the task instance's XComs, by key."""
        path = f"{_task(dag_id, run_id, task_id)}/xcomEntries"
        place = {"map_index": map_index}
        listing = self.request("GET", path, params={**place, "limit": 100})
        return {
            entry["key"]: self.request("GET", f"{path}/{quote(entry['key'])}", params=place)[
                "value"
            ]
            for entry in listing["xcom_entries"]
        }

    def extra_links(self, dag_id: str, run_id: str, task_id: str, map_index: int = -1) -> Json:
        """Return the addresses behind the task instance's buttons in the UI, by name."""
        path = f"{_task(dag_id, run_id, task_id)}/links"
        links: Json = self.request("GET", path, params={"map_index": map_index})["extra_links"]
        return links

    def log(
        self, dag_id: str, run_id: str, task_id: str, try_number: int = 1, map_index: int = -1
    ) -> str:
        """Return the log of one try of a task instance: a line for each message."""
        messages = self.log_messages(dag_id, run_id, task_id, try_number, map_index)
        return "\n".join(_log_line(message) for message in messages)

    def log_messages(
        self, dag_id: str, run_id: str, task_id: str, try_number: int = 1, map_index: int = -1
    ) -> list[str | Json]:
        """Return the messages in the log of one try of a task instance."""
        messages: list[str | Json] = self.request(
            "GET",
            f"{_task(dag_id, run_id, task_id)}/logs/{try_number}",
            params={"map_index": map_index, "full_content": True},
            headers={"Accept": "application/json"},
        )["content"]
        return messages

    # Waiting

    def wait_for(
        self,
        condition: Callable[[], T | None],
        what: str,
        timeout: float,
        seen: Callable[[], str] = lambda: "",
    ) -> T:
        """Return the condition's first true value; after a time-out, raise with the evidence."""

        def reachable() -> T | None:
            try:
                return condition()
            except AirflowUnreachableError:
                return None

        try:
            found = wait_for(reachable, what, timeout, _POLL_SECONDS)
        except TimeoutError as error:
            evidence = "\n".join(filter(None, (seen(), self._evidence())))
            raise AirflowClientError(f"{error}\n{evidence}") from None
        assert found is not None
        return found

    def run_evidence(self, dag_id: str, run_id: str) -> str:
        """Return the states of a run's task instances and the ends of their logs."""
        lines = [f"run {run_id} of {dag_id}: {self.dag_run(dag_id, run_id)['state']}"]
        for instance in self.task_instances(dag_id, run_id):
            task_id, map_index = instance["task_id"], instance["map_index"]
            try_number = instance["try_number"]
            lines.append(
                f"task {task_id}, map index {map_index}, try {try_number}: {instance['state']}"
            )
            if try_number > 0:
                log = self.log(dag_id, run_id, task_id, try_number, map_index)
                lines += [f"  {line}" for line in log.splitlines()[-_EVIDENCE_LINES:]]
        return "\n".join(lines)

    def _is_there(self, dag_id: str, run_id: str) -> bool:
        # The API server may answer a moment before it has committed.
        try:
            return bool(self.dag_run(dag_id, run_id))
        except AirflowNotFoundError:
            return False

    def _send(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        try:
            if "Authorization" not in self._http.headers:
                # The simple auth manager with all_admins gives everybody a token.
                token = self._http.get("/auth/token").raise_for_status().json()["access_token"]
                self._http.headers["Authorization"] = f"Bearer {token}"
            response = self._http.request(method, f"/api/v2/{path}", **arguments)
        except httpx.TransportError as error:
            raise AirflowUnreachableError(
                f"Airflow at {self._base_url} gave no answer to {method} {path}: {error!r}"
            ) from error
        if response.is_error:
            kind = AirflowServerError if response.is_server_error else AirflowClientError
            kind = AirflowNotFoundError if response.status_code == 404 else kind
            raise kind(
                f"Airflow refused {method} {path} with {response.status_code}: {response.text}"
            )
        return response


def _run(dag_id: str, run_id: str) -> str:
    return f"dags/{dag_id}/dagRuns/{quote(run_id, safe='')}"


def _task(dag_id: str, run_id: str, task_id: str) -> str:
    return f"{_run(dag_id, run_id)}/taskInstances/{task_id}"


def _map(map_index: int) -> str:
    return "" if map_index < 0 else f"/{map_index}"


def _log_line(message: str | Json) -> str:
    """Return a message of a structured log as one line, with all that it carries."""
    if isinstance(message, str):
        return message
    rest = {key: value for key, value in message.items() if key not in ("timestamp", "event")}
    parts = [message.get("timestamp") or "", message["event"]]
    parts += [f"{key}={value}" for key, value in rest.items() if value is not None]
    return " ".join(filter(None, parts))
