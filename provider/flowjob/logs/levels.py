"""The level that a line of a flow's names, so that Airflow's log filters and colours it by that.

Pure: no Airflow, no Kubernetes client.
"""

from __future__ import annotations

import json
import re
from logging import CRITICAL, DEBUG, ERROR, INFO, WARNING
from typing import Any

_NAMES = {
    DEBUG: ("TRACE", "VERBOSE", "DEBUG", "DBG"),
    INFO: ("INFO", "INFORMATION", "NOTICE"),
    WARNING: ("WARN", "WARNING"),
    ERROR: ("ERR", "ERROR", "SEVERE"),
    CRITICAL: ("FATAL", "CRITICAL", "CRIT", "ALERT", "EMERG", "EMERGENCY", "PANIC"),
}
_BY_NAME = {name: level for level, names in _NAMES.items() for name in names}
# Those that stand in a text; the others are in JSON and in pairs alone, where nothing else can be.
_IN_TEXT = "TRACE|DEBUG|INFO|NOTICE|WARNING|WARN|ERROR|SEVERE|FATAL|CRITICAL"
# By the letter that lines of klog, glog and Ruby begin with.
_BY_LETTER = {"D": DEBUG, "I": INFO, "W": WARNING, "E": ERROR, "F": CRITICAL}
# By the number of syslog (RFC 5424, 6.2.1), and by the tens of pino and bunyan.
_SYSLOG = (CRITICAL, CRITICAL, CRITICAL, ERROR, WARNING, INFO, INFO, DEBUG)
_TENS = (DEBUG, DEBUG, DEBUG, INFO, WARNING, ERROR, CRITICAL)

# Colours.
_ESCAPES = re.compile(r"\x1b\[[\d;]*m")
# What a line begins with where containers share the log, or threads.
_PREFIX = re.compile(r"\[[^\[\]\s]{1,300}\] +")
# In capitals, as nobody begins a sentence; else as `error:` or `[error]`.
_NAMED = re.compile(
    rf"[\s\[(<|]*(?:({_IN_TEXT})(?=[\s:|\])>]|$)|((?i:{_IN_TEXT}))(?:\s*[\])]|:(?:\s|$)))"
)
_LETTER = re.compile(r"([DIWEF])(?:\d{4} \d\d:\d\d:\d\d|, \[\d{4}-\d\d-\d\dT)")
_PRIORITY = re.compile(r"<(\d{1,3})>")
_TIME = re.compile(
    r"""\[?(?:
        \d{4}[-/.]\d\d[-/.]\d\d (?:[T\s]\d\d:\d\d(?::\d\d)?)?    # ISO 8601
        | \d\d[-/.]\d\d[-/.]\d\d(?:\d\d)? \s \d\d:\d\d(?::\d\d)?  # Spark
        | [A-Z][a-z]{2} \s [\s\d]\d \s \d\d:\d\d:\d\d              # syslog
        | \d\d:\d\d:\d\d
    ) (?:[.,]\d+)? (?:\s?(?:Z|UTC|GMT|[+-]\d\d:?\d\d))? \]?""",
    re.VERBOSE,
)
# What loggers write between a time and a level: separators, something in brackets, a number, or a
# name with a separator behind it.
_BETWEEN = re.compile(
    r"\s*(?:[-|:]+|\[[^\[\]]{0,80}\]|\{[^{}]{0,80}\}|\([^()]{0,80}\)|\d+(?=\s)"
    r"|[\w.$/<>-]{1,80}\s*[-|:](?=\s))"
)
_MOST_BETWEEN = 6
# Lines of `key=value`, as logrus and slog write them.
_PAIRS = re.compile(r"[\w.@-]+=")
_LEVEL_PAIR = re.compile(r'(?:^|\s)(?:level|lvl|severity)="?(\w+)"?(?=\s|$)')
_LEVEL_KEYS = ("level", "severity", "levelname", "log.level", "log_level", "loglevel", "lvl", "@l")
# Characters in which a level stands, and of a line of JSON that is looked into.
_HEAD = 300
_LONGEST_JSON = 64 * 1024


def level_of(line: str) -> int:
    """Return the level of ``logging`` that a line names, INFO where it names none.

    One that merely has such a word in its text names none: the level stands first, or after what
    loggers write before it, or has a key in JSON or in pairs. A line of stderr is no error by
    itself.

    :param line: as the flow wrote it, also with its container's name before it.
    """
    head = line[:_HEAD]
    if "\x1b" in head:
        head = _ESCAPES.sub("", head)
    level = _level_in_text(head)
    if level is None and (prefix := _PREFIX.match(head)) is not None:
        head, line = head[prefix.end() :], line[prefix.end() :]
        level = _level_in_text(head)
    if level is None and line.startswith("{") and len(line) <= _LONGEST_JSON:
        level = _level_in_json(line)
    return INFO if level is None else level


def _level_in_text(head: str) -> int | None:
    if named := _NAMED.match(head):
        return _BY_NAME[(named[1] or named[2]).upper()]
    if letter := _LETTER.match(head):
        return _BY_LETTER[letter[1]]
    if priority := _PRIORITY.match(head):
        return _SYSLOG[int(priority[1]) % 8]
    time = _TIME.match(head)
    if (time or _PAIRS.match(head)) and (pair := _LEVEL_PAIR.search(head)):
        return _BY_NAME.get(pair[1].upper())
    return _level_after(head, time.end()) if time else None


def _level_after(head: str, place: int) -> int | None:
    """Return the level that stands after a time and what loggers write behind it."""
    for _ in range(_MOST_BETWEEN + 1):
        if named := _NAMED.match(head, place):
            return _BY_NAME[(named[1] or named[2]).upper()]
        if (between := _BETWEEN.match(head, place)) is None:
            return None
        place = between.end()
    return None


def _level_in_json(line: str) -> int | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    values = {key.lower(): value for key, value in record.items()}
    # As Elastic's common schema has it.
    nested = values.get("log")
    found = [values[key] for key in _LEVEL_KEYS if key in values]
    found += [nested.get("level")] if isinstance(nested, dict) else []
    return next((level for value in found if (level := _level_of_value(value)) is not None), None)


def _level_of_value(value: Any) -> int | None:
    if isinstance(value, str):
        return _BY_NAME.get(value.upper())
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        return None
    if value < len(_SYSLOG):
        return _SYSLOG[value]
    return _TENS[min(value // 10, len(_TENS) - 1)] if value >= 10 else None
