"""How long a deferrable task waits in its worker, where it does not say so itself."""

from __future__ import annotations

import pytest

from flowjob.exceptions import FlowError
from flowjob.worker.context import default_defer_after


def test_it_is_about_as_long_as_a_resume_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AIRFLOW__FLOWJOB__DEFER_AFTER", raising=False)
    assert default_defer_after() == 5


def test_the_configuration_says_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW__FLOWJOB__DEFER_AFTER", "0.5")
    assert default_defer_after() == 0.5


@pytest.mark.parametrize("told", ["soon", "nan", ""])
def test_a_configuration_that_is_no_number_is_told_of(
    told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__FLOWJOB__DEFER_AFTER", told)
    with pytest.raises(FlowError, match=r"\[flowjob\] defer_after is .*: give a number of seconds"):
        default_defer_after()
