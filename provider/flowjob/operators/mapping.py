"""Mapped tasks: what Airflow would store of their arguments is refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow.sdk.definitions.mappedoperator import OperatorPartial

from flowjob.exceptions import JobSpecError
from flowjob.operators.checks import check_not_stored


def check_partial(arguments: Mapping[str, Any]) -> None:
    """Refuse a job spec in ``partial(...)``; its ``env`` is the user's to decide (docs).

    :raises JobSpecError: there is one.
    """
    if "job_spec" in arguments:
        raise JobSpecError(
            "Airflow stores what partial() takes: give a mapped task a job_spec_file"
        )


class CheckedPartial(OperatorPartial):
    """Airflow's partial operator, which refuses to map over a job spec or an env in the DAG."""

    @classmethod
    def of(cls, partial: OperatorPartial) -> CheckedPartial:
        """Take over what Airflow made; it would complain of one that is never expanded."""
        partial._expand_called = True
        return cls(
            operator_class=partial.operator_class, kwargs=partial.kwargs, params=partial.params
        )

    def expand(self, **mapped_kwargs: Any) -> Any:
        """Map over arguments, as every operator does.

        :raises FlowJobError: over values that Airflow would store, and must not.
        """
        check_not_stored("expand() takes", mapped_kwargs)
        return super().expand(**mapped_kwargs)

    def expand_kwargs(self, kwargs: Any, *, strict: bool = True) -> Any:
        """Map over mappings of arguments, as every operator does; see ``expand``."""
        for item in kwargs if isinstance(kwargs, Sequence) else ():
            if isinstance(item, Mapping):
                check_not_stored("expand_kwargs() takes", item)
        return super().expand_kwargs(kwargs, strict=strict)
