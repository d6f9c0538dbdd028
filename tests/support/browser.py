"""A browser for the tests: Debian's Chromium, which sees what a user of Airflow's UI sees."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

_CHROMIUM = "/usr/bin/chromium"
# Where the pictures stay that the tests take.
SCREENSHOTS = Path(__file__).parents[2] / ".flowjob" / "screenshots"
# Milliseconds; a page of Airflow's takes seconds on a busy machine.
_PATIENCE = 30_000
expect.set_options(timeout=_PATIENCE)


# Playwright has a loop running in the thread of the tests as long as it is there: another module's
# could not use asyncio.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """The browser, which has no window."""
    # Who is root has no sandbox there, and a container little shared memory.
    arguments = ["--no-sandbox", "--disable-dev-shm-usage"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=_CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def tab(chromium: Browser) -> Iterator[Page]:
    """An empty tab, of a user who has never been there."""
    context: BrowserContext = chromium.new_context(
        viewport={"width": 1400, "height": 900}, locale="en-GB", timezone_id="UTC"
    )
    context.set_default_timeout(_PATIENCE)
    yield context.new_page()
    context.close()


def take_picture(tab: Page, name: str) -> Path:
    """Keep a picture of what is seen."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    path = SCREENSHOTS / f"{name}.png"
    tab.screenshot(path=path)
    return path
