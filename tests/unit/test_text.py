"""Whatever a flow, a kubelet or a policy writes can be logged and stored."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowjob.text import clean, not_stored, one_line

ANY_TEXT = st.text(st.characters(exclude_categories=[]), max_size=200)


@given(ANY_TEXT)
def test_any_text_becomes_one_that_postgres_takes(text: str) -> None:
    for cleaned in (clean(text), one_line(text)):
        assert "\0" not in cleaned
        assert cleaned.encode().decode() == cleaned
        assert not_stored(cleaned) is None


@given(ANY_TEXT)
def test_a_sentence_has_one_line_and_no_control_character(text: str) -> None:
    sentence = one_line(text)
    assert len(sentence.splitlines()) <= 1
    assert not any(character < " " or "\x7f" <= character < "\xa0" for character in sentence)


@pytest.mark.parametrize(
    "text", ["", "two\nlines\tand a tab", "\x1b[31mred\x1b[0m", "\u00e9\u4e16\U0001f600"]
)
def test_what_people_print_on_purpose_stays(text: str) -> None:
    assert clean(text) == text
