"""From a termination message, which may be anything, to the flow's result."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowjob.exceptions import ResultError
from flowjob.flows.runner import RESULT_ERROR
from flowjob.status.outcome import Outcome
from flowjob.status.result import parse_result


@pytest.mark.parametrize(
    ("text", "result"),
    [("", None), (" \n", None), ("null", None), ('{"a": [1]}', {"a": [1]}), ('"é"', "é")],
)
def test_the_termination_message_is_the_result(text: str, result: Any) -> None:
    assert parse_result(Outcome("succeeded", termination_message=text)) == result


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("done", "is not JSON; write JSON to it, or set do_xcom_push=False"),
        ("NaN", "is not JSON"),
        ("[" * 60, "is not JSON"),
        ("1" * 64, "64 bytes or more"),
        ("é" * 32, "64 bytes or more"),
        (RESULT_ERROR + "it has 9 bytes", "was not kept: it has 9 bytes; write it to storage"),
    ],
)
def test_a_bad_result_says_what_to_do_and_nothing_of_itself(text: str, message: str) -> None:
    with pytest.raises(ResultError, match=message) as raised:
        parse_result(Outcome("succeeded", termination_message=text, result_limit=64))
    assert "done" not in str(raised.value)
    assert not raised.value.heals_by_retry


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (r'{"a": ["\u0000"]}', "the character U.0000"),
        (r'{"a\u0000": 1}', "the character U.0000"),
        (r'"\ud800"', "the character U.D800"),
        ("[" * 200 + "]" * 200, "more than 100 levels"),
        ('{"__classname__": "os.system"}', "the key '__classname__'"),
    ],
)
def test_a_result_that_airflow_cannot_store_is_refused_in_one_sentence(
    text: str, what: str
) -> None:
    with pytest.raises(ResultError, match=f"was not kept: Airflow cannot store {what}; write it"):
        parse_result(Outcome("succeeded", termination_message=text))


@given(st.binary(max_size=200) | st.text(max_size=100).map(str.encode))
def test_any_bytes_are_a_result_that_airflow_stores_or_are_refused_in_one_line(
    message: bytes,
) -> None:
    # As the kubelet shows it, and as its JSON is read.
    text = message.decode(errors="replace")
    try:
        told = json.dumps(parse_result(Outcome("succeeded", termination_message=text)))
    except ResultError as error:
        told = str(error)
    assert told.isprintable()
    assert "\\u0000" not in told.replace("\\\\", "")
