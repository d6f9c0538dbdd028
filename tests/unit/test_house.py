"""The house stays as CONTRIBUTING shows it: rooms that say what they are for, and small modules."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import flowjob

HOUSE = Path(flowjob.__file__).parent
TESTS = Path(__file__).parent.parent
ROOMS = sorted(path.parent for path in HOUSE.glob("*/__init__.py"))
MODULES = sorted(HOUSE.rglob("*.py"))

LONGEST_MODULE = 350
LONGEST_CLASS = 250

FIRST_CONTAINER = re.compile(r'"containers"\W*( or \W*)?\[0\]')
# Where the next text after the word, or the beginning of a selector, is the name of a label; the
# same words are keys of XComs and of a trigger's arguments.
LABEL = re.compile(r'(labels"?[^"]*|LABEL = )"(identifier|flow_run_id)"|"(identifier|flow_run_id)=')
# All but the name by which the API server's audit log knows us.
ANNOTATION = re.compile(r'"flowjob/(?!{__version__})')


def name(path: Path) -> str:
    return str(path.relative_to(HOUSE))


@pytest.mark.parametrize("room", ROOMS, ids=name)
def test_a_room_says_what_it_promises_and_what_it_may_know(room: Path) -> None:
    told = ast.get_docstring(ast.parse((room / "__init__.py").read_text())) or ""
    lines = [line for line in told.splitlines() if line]
    assert 2 <= len(lines) <= 4
    assert "promise" in told
    assert re.search(r"\b(may|They)\s(not\s)?know\b", told)


@pytest.mark.parametrize("room", ROOMS, ids=name)
def test_a_room_has_tests_in_a_folder_of_its_name(room: Path) -> None:
    kinds = ("unit", "cluster")
    assert any(list((TESTS / kind / room.name).glob("test_*.py")) for kind in kinds)


def test_a_module_is_read_in_one_go() -> None:
    lengths = {name(path): len(path.read_text().splitlines()) for path in MODULES}
    assert {path: n for path, n in lengths.items() if n > LONGEST_MODULE} == {}


def test_a_class_has_one_thing_to_do() -> None:
    lengths = {
        f"{name(path)}: {node.name}": (node.end_lineno or 0) - node.lineno + 1
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
    }
    assert {which: n for which, n in lengths.items() if n > LONGEST_CLASS} == {}


def test_which_container_runs_the_flow_is_said_in_one_place() -> None:
    assert places(FIRST_CONTAINER) == {"kubernetes_object.py"}


def test_labels_and_annotations_are_named_in_one_place() -> None:
    assert places(LABEL) | places(ANNOTATION) == {"flow_run.py"}


@pytest.mark.parametrize(
    ("pattern", "code"),
    [
        (FIRST_CONTAINER, 'spec["containers"][0]'),
        (FIRST_CONTAINER, '(spec.get("containers") or [{}])[0]'),
        (LABEL, 'job["metadata"]["labels"]["flow_run_id"]'),
        (LABEL, '(metadata.get("labels") or {}).get("identifier")'),
        (LABEL, '"labels": {\n    "flow_run_id": flow_run_id,\n}'),
        (LABEL, 'f"identifier={identifier}"'),
        (LABEL, '_ID_LABEL = "flow_run_id"'),
        (ANNOTATION, 'f"flowjob/{name}"'),
    ],
)
def test_the_searches_find_what_they_are_for(pattern: re.Pattern[str], code: str) -> None:
    assert pattern.search(code)


def places(pattern: re.Pattern[str]) -> set[str]:
    return {name(path) for path in MODULES if pattern.search(path.read_text())}
