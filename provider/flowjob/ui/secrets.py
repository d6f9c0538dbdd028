"""``Masker``: masks in a live log what Airflow masks in the log of the task.

A task's process knows the secrets that it has asked for. The API server has asked for none of
them, so all that Airflow has are masked: those in its database, and in the server's environment.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from airflow.models.connection import Connection
from airflow.models.variable import Variable
from airflow.sdk._shared import secrets_masker
from airflow.utils.session import create_session
from sqlalchemy import select

from flowjob.worker.context import masked

# They have no types.
_masker: Any = secrets_masker.SecretsMasker
_is_secret: Any = secrets_masker.should_hide_value_for_key
_OF_CONNECTION, _OF_VARIABLE = "AIRFLOW_CONN_", "AIRFLOW_VAR_"


class Masker:
    """What Airflow masks, as it was when this was made; it asks the database, and may take long."""

    def __init__(self) -> None:
        # One of its own, which keeps no secret for longer than a log is shown.
        self._secrets = _masker()
        for secret in _secrets():
            # Its other forms, such as with its quotes escaped, are masked, too.
            self._secrets.add_mask(secret)

    def __call__(self, line: str) -> str:
        """Mask a line, and clean it as a line of the task's log."""
        return masked(str(self._secrets.redact(line)))


def _secrets() -> Iterator[str]:
    with create_session() as session:
        for connection in session.scalars(select(Connection)):
            yield from _of_connection(connection)
        variable: Any
        for variable in session.scalars(select(Variable)):
            if _is_secret(variable.key):
                # One that cannot be decrypted is known to no task either.
                with suppress(Exception):
                    yield variable.get_val() or ""
    for name, value in os.environ.items():
        if name.startswith(_OF_CONNECTION):
            yield from _of_connection(_read(value))
        elif name.startswith(_OF_VARIABLE) and _is_secret(name):
            yield value


def _of_connection(connection: Any) -> Iterator[str]:
    if connection is None:
        return
    with suppress(Exception):
        yield from (connection.password or "", *_hidden(connection.extra_dejson))


def _hidden(extra: Any, name: str = "") -> Iterator[str]:
    """Yield the texts in a connection's extra that stand under the name of a secret."""
    if isinstance(extra, dict):
        for key, value in extra.items():
            hides = name or (key if _is_secret(key) else "")
            yield from _hidden(value, hides)
    elif isinstance(extra, list):
        for value in extra:
            yield from _hidden(value, name)
    elif name and isinstance(extra, str):
        yield extra


def _read(value: str) -> Connection | None:
    """Read a connection of the environment, as JSON or as a URI; None: it is neither."""
    try:
        if value.lstrip().startswith("{"):
            return Connection.from_json(value)
        return Connection(uri=value)
    except Exception:
        return None
