"""What a task says of a flow run that did not succeed."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from flowjob.status.explanation import LONGEST_HEADLINE, explain_failure
from flowjob.status.outcome import Outcome


def test_the_cause_stands_first_and_each_further_fact_on_a_line_of_its_own() -> None:
    outcome = Outcome(
        "failed",
        "OOMKilled",
        "ran out of memory (limit 64Mi)",
        pod="p",
        node="n",
        container="c",
        exit_code=137,
        facts=["it was the last of 3 failed attempts"],
        remedy="raise its resources.limits.memory",
    )
    assert explain_failure(outcome) == (
        "ran out of memory (limit 64Mi)",
        [
            "it was the last of 3 failed attempts",
            "what to do: raise its resources.limits.memory",
            "reason: OOMKilled",
            "container: c",
            "pod: p",
            "node: n",
            "exit code: 137",
        ],
    )


def test_what_is_not_known_is_no_fact() -> None:
    gone = Outcome("failed", "JobDeleted", "it is gone")
    assert explain_failure(gone) == ("it is gone", ["reason: JobDeleted"])


def test_a_cause_that_is_too_long_for_a_glance_is_told_whole_below() -> None:
    message = "ended with exit code 1: " + "ValueError: no such region " * 8
    headline, facts = explain_failure(Outcome("failed", "Error", message))
    assert headline.startswith("ended with exit code 1: ValueError: no such region")
    assert headline.endswith(" ValueError: no...")
    assert facts[0] == message


@given(st.text(min_size=1))
def test_whatever_a_flow_says_the_cause_is_seen_without_scrolling(said: str) -> None:
    headline, facts = explain_failure(Outcome("failed", "Error", said))
    assert len(headline) <= LONGEST_HEADLINE == 100
    assert said in (headline, facts[0])
    assert said.startswith(headline.removesuffix("..."))
