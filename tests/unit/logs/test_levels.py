"""Which level a line of a flow's has in Airflow's log."""

from __future__ import annotations

import json
import time
from logging import CRITICAL, DEBUG, ERROR, INFO, WARNING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowjob.logs.levels import level_of

NAMED = [
    # The level first.
    ("ERROR no such region", ERROR),
    ("ERROR", ERROR),
    ("ERROR:root:no such region", ERROR),
    ("[ERROR] no such region", ERROR),
    ("WARNING | no such region", WARNING),
    ("WARN  no such region", WARNING),
    ("INFO:     Application startup complete.", INFO),
    ("DEBUG - looked it up", DEBUG),
    ("CRITICAL: the disk is full", CRITICAL),
    ("error: pathspec 'x' did not match", ERROR),
    ("warning: LF will be replaced by CRLF", WARNING),
    ("fatal: not a git repository", CRITICAL),
    ("[warn] no such region", WARNING),
    ("\x1b[31mERROR\x1b[0m no such region", ERROR),
    # After a time, and what loggers write behind it.
    ("2026-01-01 12:00:00,123 ERROR no such region", ERROR),
    ("2026-01-01 12:00:00,123 - sales.load - ERROR - no such region", ERROR),
    ("2026-01-01T12:00:00.123456Z  WARN sales::load: no such region", WARNING),
    ("[2026-01-01T12:00:00Z ERROR sales] no such region", ERROR),
    ("[2026-01-01 12:00:00+0000] ERROR - prefect.TaskRunner | no such region", ERROR),
    ("[2026-01-01T12:00:00.123+0000] {load.py:12} WARNING - no such region", WARNING),
    ("12:00:00.123 | ERROR   | Task run 'load' - no such region", ERROR),
    ("2026-01-01 12:00:00.123 | WARNING  | sales:load:12 - no such region", WARNING),
    ("2026-01-01 12:00:00,123 [main] ERROR com.example.Load - no such region", ERROR),
    ("2026-01-01T12:00:00.123+01:00 ERROR 1 --- [main] c.e.Load : no such region", ERROR),
    ("26/01/01 12:00:00 WARN TaskSetManager: no such region", WARNING),
    ("2026/01/01 12:00:00 [error] 12#12: no such region", ERROR),
    ("2026-01-01 12:00:00.123 UTC [12] FATAL:  no such region", CRITICAL),
    ("2026-01-01T12:00:00.123456Z 0 [Warning] [MY-1] no such region", WARNING),
    ("2026-01-01 12:00:00 [error    ] no such region  [sales]", ERROR),
    ("E0101 12:00:00.123456       1 load.go:12] no such region", ERROR),
    ("W, [2026-01-01T12:00:00.123456 #12]  WARN -- : no such region", WARNING),
    ("<3>no such region", ERROR),
    ("<11>no such region", ERROR),
    # With a key.
    ('time="2026-01-01T12:00:00Z" level=error msg="no such region"', ERROR),
    ("time=2026-01-01T12:00:00.123Z level=WARN msg=x", WARNING),
    ("2026-01-01T12:00:00Z level=error msg=x", ERROR),
    ('{"level": "error", "msg": "no such region"}', ERROR),
    ('{"message": "no such region", "severity": "WARNING"}', WARNING),
    ('{"levelname": "CRITICAL", "message": "no such region"}', CRITICAL),
    ('{"LogLevel": "Warning", "Message": "no such region"}', WARNING),
    ('{"log": {"level": "error"}, "message": "no such region"}', ERROR),
    ('{"level": 50, "msg": "no such region"}', ERROR),
    ('{"level": 20, "msg": "looked it up"}', DEBUG),
    ('{"level": 4, "short_message": "no such region"}', WARNING),
]

UNNAMED = [
    "",
    "12 rows",
    "no error",
    "error handling is better now",
    "Error rate 0.1",
    "errors: 0",
    "ERRORS: 0",
    "The last ERROR was seen",
    "12:00:00 the last ERROR was seen",
    "2026-01-01 12:00:00 finished with 1 WARNING",
    "see [error] above",
    "ValueError: no such region",
    "Traceback (most recent call last):",
    '  File "sales.py", line 12, in load',
    "sales.py:12: UserWarning: no such region",
    "Information about regions",
    "set log level=error to see less",
    '{"level": "loud", "msg": "x"}',
    '{"msg": "level: error", "data": {"level": "error"}}',
    '{"level": true}',
    '{"level": 9}',
    '{"level": -1}',
    '{"level": null, "severity": [1]}',
    '{"level": "error"',
    '{"a": ' * 5000,
    "{}",
    "[]",
]


@pytest.mark.parametrize(("line", "level"), NAMED)
@pytest.mark.parametrize("prefix", ["", "[proxy] ", "[3/proxy] "])
def test_a_line_has_the_level_that_it_names(line: str, level: int, prefix: str) -> None:
    assert level_of(prefix + line) == level


@pytest.mark.parametrize("line", UNNAMED)
@pytest.mark.parametrize("prefix", ["", "[proxy] "])
def test_a_line_that_merely_has_the_word_in_it_is_no_error(line: str, prefix: str) -> None:
    assert level_of(prefix + line) == INFO


@given(st.text() | st.dictionaries(st.text(), st.integers() | st.text()).map(json.dumps))
def test_whatever_a_flow_writes_is_a_line_of_some_level(line: str) -> None:
    assert level_of(line) in (DEBUG, INFO, WARNING, ERROR, CRITICAL)


@pytest.mark.parametrize(
    "piece", ["[", "[a] ", "a - ", "((", "- ", "1 ", "a.b", "\x1b[", "{", "level="]
)
def test_no_line_is_looked_at_for_long(piece: str) -> None:
    begun = time.process_time()
    for start in ("", "12:00:00 ", "[", "a="):
        level_of(start + piece * 100_000)
    assert time.process_time() - begun < 0.1
