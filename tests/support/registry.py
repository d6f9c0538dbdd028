"""An image registry on loopback that gives nothing to anybody; containerd asks it without TLS."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class _Refusal(BaseHTTPRequestHandler):
    def do_HEAD(self) -> None:
        # The first part of an image's name is the HTTP status, as in "401/flows".
        self.send_response(int(self.path.removeprefix("/v2/").partition("/")[0]))
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *arguments: object) -> None:
        pass

    do_GET = do_HEAD


@contextmanager
def refusing_registry() -> Iterator[str]:
    """Run the registry, and yield its address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Refusal) as server:
        serving = threading.Thread(target=server.serve_forever)
        serving.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            serving.join()
