"""What a user sees of flow runs in a browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
from playwright.sync_api import FrameLocator, Locator, Page, Request, expect

from tests.support.airflow.instance import CONSOLE, AirflowInstance
from tests.support.browser import take_picture

FAILS = "failures_of_the_page"


@pytest.fixture(autouse=True)
def signed_in(airflow: AirflowInstance, tab: Page) -> None:
    """Be there already: Airflow 3.1 forgets where one wanted to go before it knew who it is."""
    tab.goto(airflow.url)
    expect(tab.get_by_role("button", name="Browse")).to_be_visible()


@pytest.fixture(scope="module")
def failed(airflow: AirflowInstance) -> str:
    run_id = airflow.client.trigger(FAILS)
    assert airflow.client.wait_for_run(FAILS, run_id) == "failed"
    return run_id


@pytest.fixture
def live(airflow: AirflowInstance, effects: Path) -> Iterator[str]:
    """A deferred flow run whose lines come until the file is there that ends it."""
    run_id = airflow.client.trigger("live_lines")
    airflow.client.wait_for_task("live_lines", run_id, "flow", ["deferred"])
    yield run_id
    end(effects, run_id)
    assert airflow.client.wait_for_run("live_lines", run_id) == "success"


def end(effects: Path, run_id: str) -> None:
    (effects / f"live_lines.{run_id}.end").touch()


def task_page(dag_id: str, run_id: str) -> str:
    return f"/dags/{dag_id}/runs/{quote(run_id, safe='')}/tasks/flow"


def follow(link: Locator) -> Page:
    """Click a link, and return the tab that it opens in: before Airflow 3.2 always a new one."""
    tab = link.page
    if link.get_attribute("target") != "_blank":
        link.click()
        return tab
    with tab.context.expect_page() as opened:
        link.click()
    return opened.value


def flow_runs(tab: Page) -> FrameLocator:
    """Return what the frame with our page shows, once it shows something."""
    frame = tab.frame_locator("iframe[title^='Flow run']")
    expect(frame.locator("body[data-loaded=yes]")).to_be_visible()
    return frame


def test_the_buttons_of_a_task_lead_to_its_job_its_log_and_its_flow_run(
    airflow: AirflowInstance, failed: str, tab: Page
) -> None:
    address = f"{airflow.url}{task_page(FAILS, failed)}/details"
    job_name = airflow.client.xcoms(FAILS, failed, "flow")["job_name"]
    for button, query in (("Kubernetes", f"name={job_name}"), ("Logs", "node=")):
        tab.goto(address)
        # A tab of the task is called "Logs", too.
        link = tab.locator("a[rel*=noopener]", has_text=re.compile(f"^{button}$"))
        expect(link).to_be_visible()
        if button == "Kubernetes":
            take_picture(tab, "task_buttons")
        follow(link).wait_for_url(re.compile(f"{re.escape(CONSOLE)}.*{query}"))
    tab.goto(address)
    tab = follow(tab.get_by_role("link", name="Flow runs", exact=True))
    frame = flow_runs(tab)
    expect(frame.locator("tbody tr.begins")).to_have_count(1)
    expect(frame.locator("tbody")).to_contain_text("the sales are <b>gone</b> by 100%")
    take_picture(tab, "flow_run_of_a_task")


def test_the_page_of_flow_runs_is_filtered_and_leads_to_the_task(
    airflow: AirflowInstance, failed: str, tab: Page
) -> None:
    asked: list[Request] = []
    tab.on("request", lambda request: asked.append(request))
    tab.get_by_role("button", name="Browse").click()
    tab.get_by_role("menuitem", name="Flow runs").click()
    frame = flow_runs(tab)
    take_picture(tab, "flow_runs")
    frame.locator("select[name=status]").select_option("failed")
    frame.locator("thead").click()
    tab.keyboard.press("/")
    expect(frame.locator("input[name=text]")).to_be_focused()
    tab.keyboard.type("by 100%")
    rows = frame.locator("tbody tr.begins")
    expect(rows.first).to_contain_text(FAILS)
    expect(rows.locator(".status:not(.failed)")).to_have_count(0)
    take_picture(tab, "flow_runs_filtered")
    frame.locator("input[name=text]").fill("no flow run has this text")
    expect(frame.get_by_role("status").first).to_have_text("No flow run is as asked for.")
    frame.get_by_role("button", name="Clear").click()
    frame.locator("input[name=dag]").fill(FAILS)
    row = rows.filter(has_text=failed)
    expect(row).to_have_count(1)
    row.get_by_role("link", name=f"{FAILS} / flow").click()
    tab.wait_for_url(f"**/dags/{FAILS}/runs/**")
    ours = [request.url for request in asked if "/flowjob/" in (request.frame.url or "")]
    assert len(ours) > 3
    assert {urlsplit(url).netloc for url in ours} == {urlsplit(airflow.url).netloc}


@pytest.mark.parametrize("colours", ["light", "dark"])
def test_the_lines_of_a_deferred_flow_run_are_seen_as_they_come(
    airflow: AirflowInstance, live: str, tab: Page, effects: Path, colours: str
) -> None:
    tab.evaluate(f"localStorage.setItem('theme', '{colours}')")
    tab.goto(f"{airflow.url}{task_page('live_lines', live)}/plugin/flow_run")
    frame = flow_runs(tab)
    frame.get_by_role("button", name="Live log").click()
    lines = frame.get_by_role("log")
    expect(lines).to_contain_text("line 3")
    last = lines.locator("div").last.inner_text()
    expect(lines.locator("div").last).not_to_have_text(last)
    assert airflow.client.task_instance("live_lines", live, "flow")["state"] == "deferred"
    take_picture(tab, f"live_log_{colours}")
    end(effects, live)
    expect(frame.locator("#live-told")).to_have_text("The flow run has succeeded.")
    expect(lines).to_contain_text("the end")
    tab.keyboard.press("Escape")
    expect(lines).to_be_hidden()
