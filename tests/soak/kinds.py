"""The kinds of flow runs in a soak: known to its DAGs, and to what judges them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Ending = Literal["succeeds", "fails", "fails_once", "skips", "bad_result"]
Sidecar = Literal["none", "native", "plain"]
OnFinish = Literal["keep", "delete", "delete_succeeded"]

TASK_ID = "flow"
# With which a flow skips its task.
SKIP_CODE = 99
# As many as it takes: a soak kills workers.
_MANY = 50


@dataclass(frozen=True)
class Kind:
    """A kind of flow runs, which has a DAG of one task in each mode.

    :param ending: how its flows end.
    :param state: what becomes of its task when no user meddles.
    :param pods: how many run the flow.
    :param sidecar: what runs beside the flow. A plain one never ends by itself.
    """

    name: str
    ending: Ending = "succeeds"
    state: str = "success"
    retries: int = _MANY
    pods: int = 1
    sidecar: Sidecar = "none"
    on_finish: OnFinish = "keep"

    @property
    def has_enough_retries(self) -> bool:
        """Whether kills cannot use up its tries."""
        return self.retries == _MANY

    def keeps_job(self, *, succeeded: bool) -> bool:
        """Whether a Job of this kind stays after its end."""
        if self.sidecar == "plain":
            return False
        return self.on_finish == "keep" or (self.on_finish == "delete_succeeded" and not succeeded)

    def dag_id(self, *, deferrable: bool) -> str:
        return f"soak_{self.name}_deferrable" if deferrable else f"soak_{self.name}"


KINDS = (
    Kind("plain"),
    Kind("indexed", pods=3),
    Kind("native_sidecar", sidecar="native"),
    Kind("plain_sidecar", sidecar="plain"),
    Kind("fails_once", "fails_once"),
    Kind("fails", "fails", "failed", retries=2),
    Kind("bad_result", "bad_result", "failed"),
    Kind("skipped", "skips", "skipped"),
    Kind("deleted", on_finish="delete"),
    Kind("deleted_fails_once", "fails_once", on_finish="delete"),
    Kind("deleted_if_succeeded", "fails_once", on_finish="delete_succeeded"),
)
