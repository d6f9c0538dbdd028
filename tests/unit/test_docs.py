"""What the docs show is what the tests run."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
PAGES = sorted((CHECKOUT / "docs").glob("*.md"))
# The name of a file, and below it what is in it.
BLOCK = re.compile(r"(?:^`([^`\n]+)`:\n\n)?^```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_a_page_shows_is_a_file_that_is_tested(page: Path) -> None:
    blocks = BLOCK.findall(page.read_text())
    assert blocks
    for file, shown in blocks:
        assert file.startswith("dags/"), f"no file is named above: {shown}"
        assert shown == (CHECKOUT / file).read_text()
