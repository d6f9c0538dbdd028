"""How a flow gets the API key of its Airflow connection: through a Kubernetes Secret, in any case.

Pure: no Airflow, no Kubernetes client.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from flowjob.exceptions import FlowError
from flowjob.flows.base import FlowConnection, secret_key

# A Secret's name and a key in it, as Kubernetes has them.
_SECRET_KEY = re.compile(r"([a-z0-9][-a-z0-9.]*)/([-._a-zA-Z0-9]+)")


def api_key_variables(
    names: Iterable[str], connection: FlowConnection, api_key_secret: str | None
) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the variables that hold the API key: those that show nothing of it, and the secret.

    :param names: the variables' names.
    :param connection: has the key, if its service asks for one.
    :param api_key_secret: ``"name/key"`` of a Secret that has it in place of the connection; None:
        there is none.
    :returns: the ``env`` and the ``secrets`` of a ``FlowCommand``; neither has one where there is
        no key.
    :raises FlowError: ``api_key_secret`` names no key of a Secret.
    """
    if api_key_secret:
        return dict.fromkeys(names, _reference(api_key_secret)), {}
    return {}, dict.fromkeys(names, connection.api_key) if connection.api_key else {}


def _reference(api_key_secret: str) -> dict[str, Any]:
    found = _SECRET_KEY.fullmatch(str(api_key_secret))
    if found is None:
        # Not its value: it may be the API key itself.
        raise FlowError(
            "api_key_secret of the Prefect flow names no key of a Secret: write it as "
            '"name/key", such as "prefect/api-key"'
        )
    return secret_key(found[1], found[2])
