"""Which variables the flow container has, and what each may refer to."""

from __future__ import annotations

from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowjob.spec.variables import merge_variables

SECRET = {"secretKeyRef": {"name": "prefect", "key": "key"}}


def merged(
    given: dict[str, Any], user: dict[str, Any], ours: dict[str, str] | None = None
) -> dict[str, Any]:
    variables = [{"name": n, "value": v} for n, v in given.items()]
    result = merge_variables(variables, ours or {"FLOW_RUN_ID": "1"}, user)
    assert all(set(variable) == {"name", "value"} for variable in result)
    return {variable["name"]: variable["value"] for variable in result}


def test_the_specs_variables_can_refer_to_ours_and_the_users_to_both() -> None:
    found = merged({"URL": "http://x/$(FLOW_RUN_ID)"}, {"MINE": "$(URL)"})
    assert list(found) == ["FLOW_RUN_ID", "URL", "MINE"]


def test_the_users_win_where_the_others_stand() -> None:
    found = merged(
        {"A": "spec", "B": "spec", "FLOW_RUN_ID": "x"}, {"A": "user", "FLOW_RUN_ID": "2"}
    )
    assert found == {"FLOW_RUN_ID": "2", "A": "user", "B": "spec"}
    assert list(found) == ["FLOW_RUN_ID", "A", "B"]


def test_one_that_replaces_another_stands_behind_those_that_it_refers_to() -> None:
    found = merged(
        {"OUT": "spec", "REGION": "eu", "Z": "z"}, {"OUT": "$(REGION)/$(DAY)", "DAY": "1"}
    )
    assert list(found) == ["FLOW_RUN_ID", "REGION", "Z", "DAY", "OUT"]


def test_the_specs_variables_can_refer_to_what_is_new_of_the_users() -> None:
    given = {"A": "a", "OUT": "s3://lake/$(DAY)/part", "LAST": "$(DAY)"}
    found = merged(given, {"OTHER": "o", "DAY": "1"})
    assert list(found) == ["FLOW_RUN_ID", "A", "DAY", "OUT", "LAST", "OTHER"]
    # Of two that refer to one another, one cannot be helped.
    assert list(merged({"OUT": "$(DAY)"}, {"DAY": "$(OUT)"})) == ["FLOW_RUN_ID", "OUT", "DAY"]


def test_one_that_others_refer_to_stays_before_them() -> None:
    given = {"OUT": "spec", "PATH": "$(OUT)/x", "REGION": "eu"}
    found = merged(given, {"OUT": "$(REGION)"})
    assert list(found) == ["FLOW_RUN_ID", "OUT", "PATH", "REGION"]


def test_the_specs_variables_can_refer_to_some_of_the_users_that_refer_to_one_another() -> None:
    found = merged({"OUT": "s3://$(PART)"}, {"DAY": "1", "PART": "$(DAY)/x"})
    assert list(found) == ["FLOW_RUN_ID", "DAY", "PART", "OUT"]
    # Also to those that stand further down, as they take the place of others.
    given = {"OUT": "s3://$(PART)", "URL": "http://x", "LAST": "1"}
    found = merged(given, {"PART": "$(URL)/x", "URL": "http://y/$(FLOW_RUN_ID)"})
    assert list(found) == ["FLOW_RUN_ID", "URL", "PART", "OUT", "LAST"]


NAMES = ("A", "B", "C", "D", "E", "F")
some_variables = st.dictionaries(
    st.sampled_from(NAMES), st.lists(st.sampled_from(NAMES), max_size=2, unique=True), max_size=5
)


@given(some_variables, some_variables)
def test_all_references_are_known_where_there_is_an_order_for_that(
    specs: dict[str, list[str]], users: dict[str, list[str]]
) -> None:
    refers = specs | users
    kept = [name for name in specs if name not in users]
    wanted = {name: (set(others) & refers.keys()) - {name} for name, others in refers.items()}
    for before, name in pairwise(kept):
        wanted[name].add(before)
    found = list(merged(*({n: refs(each[n]) for n in each} for each in (specs, users))))
    assert sorted(found) == sorted(["FLOW_RUN_ID", *refers])
    assert [name for name in found if name in kept] == kept
    try:
        TopologicalSorter(wanted).prepare()
    except CycleError:
        return
    for name, others in wanted.items():
        assert all(found.index(other) < found.index(name) for other in others)


def refs(names: list[str]) -> str:
    return "/".join(f"$({name})" for name in names)


@pytest.mark.parametrize("text", ["$$(REGION)", "$REGION", "${REGION}", "$(region)", "$(OUT)"])
def test_what_is_no_reference_to_another_moves_nothing(text: str) -> None:
    found = merged({"OUT": "spec", "REGION": "eu"}, {"OUT": text})
    assert list(found) == ["FLOW_RUN_ID", "OUT", "REGION"]


def test_variables_that_refer_to_one_another_come_to_an_end() -> None:
    found = merged({"A": "a", "B": "b"}, {"A": "$(B)", "B": "$(A)"})
    assert sorted(found) == ["A", "B", "FLOW_RUN_ID"]


def test_a_secret_of_the_specs_stays_where_the_flow_would_have_its_own_key() -> None:
    given: list[dict[str, Any]] = [
        {"name": "KEY", "valueFrom": SECRET},
        {"name": "URL", "value": "spec"},
    ]
    found = merge_variables(given, {"KEY": "plain", "URL": "flow"}, {}, yielding={"KEY", "URL"})
    assert found == [{"name": "URL", "value": "flow"}, {"name": "KEY", "valueFrom": SECRET}]


def test_the_users_own_key_wins_over_a_secret_of_the_specs() -> None:
    given = [{"name": "KEY", "valueFrom": {"configMapKeyRef": {}}}]
    found = merge_variables(given, {"KEY": "plain"}, {"KEY": SECRET}, yielding={"KEY"})
    assert found == [{"name": "KEY", "valueFrom": SECRET}]


def test_what_is_not_ours_to_yield_is_ours() -> None:
    given = [{"name": "FLOW_RUN_ID", "valueFrom": SECRET}]
    assert merge_variables(given, {"FLOW_RUN_ID": "1"}, {}) == [
        {"name": "FLOW_RUN_ID", "value": "1"}
    ]
