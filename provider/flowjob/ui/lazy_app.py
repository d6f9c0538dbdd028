"""``LazyApp``: the page's app, made at its first request.

Each of Airflow's processes loads the plugin, and only the API server is ever asked for the page.
"""

from __future__ import annotations

from typing import Any


class LazyApp:
    """An ASGI application whose parts are imported when somebody asks for the page."""

    def __init__(self) -> None:
        self._app: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request (ASGI)."""
        if self._app is None:
            from flowjob.ui.app import make_app

            self._app = make_app()
        await self._app(scope, receive, send)
