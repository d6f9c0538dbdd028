"""A server that answers as Prefect's do, for what is asked of them before a flow runs.

What they answer is read in the sources of Prefect 0.15.13 and 3.8.8, and of Prefect Server 0.15.
"""

from __future__ import annotations

import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

UNAUTHORIZED = 401, {"exception_message": "Unauthorized"}
NOT_FOUND = 404, {"detail": "Not Found"}
HELLO = 200, {"data": {"hello": "👋"}}
UNAUTHENTICATED = (
    200,
    {
        "data": None,
        "errors": [
            {
                "message": "AuthenticationError: Forbidden",
                "extensions": {"code": "UNAUTHENTICATED"},
            }
        ],
    },
)
PAGE = 200, b"<!doctype html><html></html>"


@dataclass(frozen=True)
class Asked:
    """A request that came."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


@dataclass
class PrefectApi:
    """Answers these paths, each with a status and JSON or the very bytes.

    with PrefectApi({"POST /graphql": HELLO}, key="k") as api:
        ...                    # somebody asks at api.url
        api.asked              # what came

    With a key, all that has another one is answered with `refusal`, but for `open_paths`.
    """

    answers: dict[str, tuple[int, Any]]
    key: str | None = None
    refusal: tuple[int, Any] = UNAUTHORIZED
    open_paths: tuple[str, ...] = ("GET /api/health",)
    asked: list[Asked] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, name="prefect-api")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def answer(self, asked: Asked) -> tuple[int, Any]:
        """Return the status and the body of an answer."""
        which = f"{asked.method} {asked.path}"
        given = asked.headers.get("Authorization")
        if self.key is not None and which not in self.open_paths and given != f"Bearer {self.key}":
            return self.refusal
        return self.answers.get(which, NOT_FOUND)

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self._answer()

            def do_POST(self) -> None:
                self._answer()

            def _answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                asked = Asked(
                    self.command,
                    self.path,
                    dict(self.headers.items()),
                    json.loads(body) if body else None,
                )
                api.asked.append(asked)
                status, answer = api.answer(asked)
                content = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: Any) -> None:
                """Keep the test's output clean."""

        return Handler
