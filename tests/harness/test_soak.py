"""A soak misses nothing that breaks a promise, and blames nobody for what users did."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.soak.kinds import KINDS
from tests.soak.plan import KUBE_API, make_plan
from tests.soak.record import Deed, Killed, Subject
from tests.soak.story import Line, Story
from tests.support.audit import JobCreated


def subject(*deeds: Deed, kind: str = "plain") -> Subject:
    kinds = {kind.name: kind for kind in KINDS}
    return Subject("dag", "run", kinds[kind], deferrable=False, deeds=list(deeds))


def deed(what: str, at: float) -> Deed:
    return Deed(what, "running", at, at + 0.1)


def job(flow_run_id: str, at: float) -> JobCreated:
    return JobCreated(at, f"plain-{flow_run_id}", {"flow_run_id": flow_run_id})


def lines(flow_run_id: str, code: int | None = 0, pod: str = "0") -> list[Line]:
    """Return the lines of a flow run; without a code, of one that did not come to its end."""
    whole = [Line(flow_run_id, pod, "begins"), Line(flow_run_id, pod, "runs")]
    return whole if code is None else [*whole, Line(flow_run_id, pod, "ends", code)]


def left(flow_run_id: str, condition: str | None = "Complete") -> dict[str, Any]:
    conditions = [{"type": condition, "status": "True"}] if condition else []
    return {"metadata": {"name": f"plain-{flow_run_id}"}, "status": {"conditions": conditions}}


GOOD = Story(subject(), lines("1"), [job("1", 100)], [left("1")], state="success", told="1")
FAILED_ONCE = replace(
    GOOD,
    lines=[*lines("1", 1), *lines("2")],
    jobs=[job("1", 100), job("2", 120)],
    left=[left("1", "Failed"), left("2")],
    told="2",
)
CLEARED = replace(
    GOOD,
    subject=subject(deed("clear", 110)),
    lines=[*lines("1", None), *lines("2")],
    jobs=[job("1", 100), job("2", 120)],
    left=[left("2")],
)
MARKED = Story(subject(deed("mark failed", 110)), lines("1", None), [job("1", 100)], state="failed")
LOST = Story(
    subject(deed("clear", 110)),
    lines("1"),
    [job("1", 100)],
    [left("1")],
    state="success",
    kills=[Killed(KUBE_API, "", 100, 105)],
)


@pytest.mark.parametrize("story", [GOOD, FAILED_ONCE, CLEARED, MARKED, LOST])
def test_nobody_is_blamed_for_what_users_did(story: Story) -> None:
    assert story.violations() == []


@pytest.mark.parametrize(
    ("story", "told"),
    [
        (replace(GOOD, lines=lines("1") + lines("1")), "ran 2 times"),
        (replace(FAILED_ONCE, lines=lines("1", None) + lines("2") + lines("1")), "the same time"),
        (replace(FAILED_ONCE, lines=lines("1") + lines("2")), "for no reason"),
        (replace(GOOD, jobs=[job("1", 100), job("1", 120)]), "2 Jobs"),
        (replace(GOOD, jobs=[]), "0 Jobs"),
        (replace(GOOD, lines=lines("1", None)), "did not run to its end"),
        (replace(GOOD, lines=[], jobs=[], left=[]), "there was no Job"),
        (replace(GOOD, subject=subject(kind="indexed")), "did not run to its end"),
        (replace(LOST, kills=[]), "after: clear"),
        (replace(GOOD, state="failed"), "should be success"),
        (replace(MARKED, state="success"), "should be failed"),
        (replace(GOOD, told="2"), "XCom"),
        (replace(GOOD, left=[left("1", None)]), "still active"),
        (replace(GOOD, subject=subject(kind="deleted")), "on_finish says otherwise"),
        (replace(GOOD, left=[]), "is gone"),
        (replace(MARKED, swept=["plain-1"]), "nothing was killed"),
    ],
)
def test_what_breaks_a_promise_is_told(story: Story, told: str) -> None:
    assert any(told in text for text in story.violations())


def test_a_seed_gives_the_same_plan_again() -> None:
    assert make_plan(1, 60) == make_plan(1, 60) != make_plan(2, 60)
