"""An auth manager of Airflow's with two users, of whom one may not read everything.

``reader`` reads all; ``guest`` reads no DAG whose id begins with ``exactly_one``, and no log.
"""

from typing import Any

from airflow.api_fastapi.auth.managers.models.resource_details import DagAccessEntity
from airflow.api_fastapi.auth.managers.simple.simple_auth_manager import SimpleAuthManager

PASSWORDS = {"reader": "password-of-reader", "guest": "password-of-guest"}
HIDDEN = "exactly_one"


class TwoUsers(SimpleAuthManager):
    """Airflow's own simple auth manager, with rights on single DAGs."""

    def is_authorized_dag(self, *, user: Any, **asked: Any) -> bool:
        """Tell whether a user may do what is asked for."""
        details = asked.get("details")
        if user.username == "guest":
            if details and (details.id or "").startswith(HIDDEN):
                return False
            if asked.get("access_entity") == DagAccessEntity.TASK_LOGS:
                return False
        return super().is_authorized_dag(user=user, **asked)
