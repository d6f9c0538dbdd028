"""What a user sees of flow runs in a browser."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from importlib import metadata
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

import pytest
from playwright.sync_api import FrameLocator, Locator, Page, Request, expect

from flowjob.flow_run import TaskInstanceKey
from tests.support.airflow.client import AirflowNotFoundError
from tests.support.airflow.instance import CONSOLE, AirflowInstance
from tests.support.browser import take_picture
from tests.support.fake_prefect import KEY, FakePrefect
from tests.support.wait import wait_for

FAILS = "failures_of_the_page"
AIRFLOW_3_1 = metadata.version("apache-airflow-core").startswith("3.1.")
# What the buttons are called, in Airflow 3.1 and later.
CLEAR = re.compile("^(Press shift\\+c to clear|Clear Task Instance)")
MARK = re.compile("^Mark Task Instance as")


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


def task_page(dag_id: str, run_id: str, task_id: str = "flow") -> str:
    return f"/dags/{dag_id}/runs/{quote(run_id, safe='')}/tasks/{task_id}"


def is_seen(tab: Page, what: Locator) -> bool:
    """Tell whether all of it is seen without scrolling."""
    size, place = tab.viewport_size, what.bounding_box() if what.count() else None
    if size is None or place is None:
        return False
    right, bottom = place["x"] + place["width"], place["y"] + place["height"]
    return min(place["x"], place["y"]) >= 0 and right <= size["width"] and bottom <= size["height"]


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
    # As the cluster shows it: Airflow is told at the end.
    expect(frame.locator("tbody")).to_contain_text(re.compile(r"pod flow-runs-page-\S+node \S+"))
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


def dialog(tab: Page, airflow: AirflowInstance, dag_id: str) -> Locator:
    """Open what the button "Trigger" of a DAG opens."""
    airflow.client.wait_for_dag(dag_id)
    tab.goto(f"{airflow.url}/dags/{dag_id}")
    tab.get_by_role("button", name="Trigger").click()
    return tab.get_by_role("dialog")


def test_the_trigger_form_drives_a_flow_to_its_end(
    airflow: AirflowInstance, batch_v1: Any, tab: Page
) -> None:
    form = dialog(tab, airflow, "trigger_form")
    form.get_by_role("combobox", name="Region").click()
    tab.get_by_role("option", name="asia").click()
    form.locator("[name=element_day]").fill("2026-03-04")
    form.locator("[name=element_memory]").fill("192")
    take_picture(tab, "trigger_form")
    form.get_by_role("button", name="Trigger").last.click()
    tab.wait_for_url("**/dags/trigger_form/runs/**")
    run_id = unquote(urlsplit(tab.url).path.rpartition("/")[2])
    assert airflow.client.wait_for_run("trigger_form", run_id) == "success"
    tab.goto(f"{airflow.url}{task_page('trigger_form', run_id, 'sales')}")
    expect(tab.get_by_text("Sales of asia on 2026-03-04, on demand")).to_be_visible()
    expect(tab.get_by_text("Success", exact=True).first).to_be_visible()
    take_picture(tab, "trigger_form_green")
    xcoms = airflow.client.xcoms("trigger_form", run_id, "sales")
    assert xcoms["return_value"] == {"region": "asia", "day": "2026-03-04"}
    job = batch_v1.read_namespaced_job(xcoms["job_name"], xcoms["namespace"])
    assert job.spec.template.spec.containers[0].resources.limits["memory"] == "192Mi"


@pytest.mark.skipif(AIRFLOW_3_1, reason="Airflow 3.1 shows a long log from its beginning")
def test_why_a_flow_failed_is_seen_in_the_log_without_scrolling(
    airflow: AirflowInstance, failed: str, tab: Page
) -> None:
    tab.goto(f"{airflow.url}{task_page(FAILS, failed)}")
    cause = tab.get_by_text("ended with exit code 3: the sales are <b>gone</b> by 100%").first
    expect(cause).to_be_visible()
    wait_for(lambda: is_seen(tab, cause), "the cause to be in the window", 10, 0.2)
    take_picture(tab, "failure_in_the_log")


def jobs_of(batch_v1: Any, dag_id: str, run_id: str) -> list[Any]:
    selector = f"identifier={TaskInstanceKey(dag_id, run_id, 'flow').identifier}"
    return list(batch_v1.list_job_for_all_namespaces(label_selector=selector).items)


def test_a_flow_that_is_cleared_in_the_ui_runs_once_more(
    airflow: AirflowInstance, effects: Path, batch_v1: Any, tab: Page
) -> None:
    dag_id, client = "exactly_one", airflow.client
    run_id = client.trigger(dag_id, conf={"waits": "no"})
    assert client.wait_for_run(dag_id, run_id) == "success"
    tab.goto(f"{airflow.url}{task_page(dag_id, run_id)}")
    tab.get_by_role("button", name=CLEAR).click()
    form = tab.get_by_role("dialog")
    expect(form.get_by_role("cell", name="flow", exact=True)).to_be_visible()
    take_picture(tab, "clear")
    form.get_by_role("button", name="Confirm").click()
    expect(form).to_be_hidden()
    client.wait_for_task(dag_id, run_id, "flow", ["success"], try_number=2)
    lines = (effects / "lines").read_text().splitlines()
    ran = [line.split()[1] for line in lines if line.startswith(f"{dag_id}.{run_id}.flow ")]
    assert len(ran) == len(set(ran)) == 2
    assert {job.metadata.labels["flow_run_id"] for job in jobs_of(batch_v1, dag_id, run_id)} == set(
        ran
    )
    assert client.xcoms(dag_id, run_id, "flow")["flow_run_id"] == ran[-1]


def test_a_running_flow_that_is_marked_failed_in_the_ui_is_gone_from_the_cluster(
    airflow: AirflowInstance, batch_v1: Any, tab: Page
) -> None:
    dag_id, client = "last_try", airflow.client
    run_id = client.trigger(dag_id)
    client.wait_for_task(dag_id, run_id, "flow", ["running"])
    wait_for(
        lambda: any(job.status.ready for job in jobs_of(batch_v1, dag_id, run_id)),
        "the flow to run",
    )
    tab.goto(f"{airflow.url}{task_page(dag_id, run_id)}")
    tab.get_by_role("button", name=MARK).click()
    tab.get_by_role("menuitem", name="Failed").click()
    form = tab.get_by_role("dialog")
    expect(form.get_by_role("cell", name="flow", exact=True)).to_be_visible()
    take_picture(tab, "mark_failed")
    form.get_by_role("button", name="Confirm").click()
    expect(form).to_be_hidden()
    assert client.wait_for_run(dag_id, run_id) == "failed"
    wait_for(lambda: not jobs_of(batch_v1, dag_id, run_id), "the Job to be gone")
    tab.reload()
    told = tab.get_by_text("the flow run was cancelled, and its Job deleted")
    expect(told.first).to_be_visible()
    take_picture(tab, "marked_failed")


def test_the_backfill_form_runs_each_of_three_days_once(
    airflow: AirflowInstance, effects: Path, tab: Page
) -> None:
    dag_id, client = "three_days", airflow.client
    form = dialog(tab, airflow, dag_id)
    form.get_by_text("Backfill", exact=True).first.click()
    for field, day in (("From", "2026-02-01"), ("To", "2026-02-03")):
        pick(tab, form, field, day)
    form.locator("[name=max_active_runs]").fill("3")
    expect(form.get_by_text("3 runs will be triggered")).to_be_visible()
    take_picture(tab, "backfill_form")
    form.get_by_role("button", name="Run Backfill").click()
    expect(form).to_be_hidden()

    def ended() -> list[dict[str, Any]]:
        runs = client.dag_runs(dag_id)
        is_over = len(runs) == 3 and all(run["state"] in ("success", "failed") for run in runs)
        return runs if is_over else []

    runs = client.wait_for(ended, "the runs of three days to end", 120)
    assert {run["state"] for run in runs} == {"success"}
    lines = [line.split() for line in (effects / "lines").read_text().splitlines()]
    seen = Counter((line[1][:10], line[2][:10]) for line in lines if line[0] == dag_id)
    days = [f"2026-02-0{number}" for number in range(1, 5)]
    assert seen == Counter(pairwise(days))
    tab.goto(f"{airflow.url}/dags/{dag_id}/plugin/flow_runs_of_dag")
    frame = flow_runs(tab)
    expect(frame.locator(".status.succeeded")).to_have_count(3)
    expect(frame.locator("tbody")).to_contain_text("2026-02-01 00:00:00")
    take_picture(tab, "backfilled")


def pick(tab: Page, form: Locator, field: str, day: str) -> None:
    """Give a date to a field of the backfill form."""
    if AIRFLOW_3_1:
        form.locator(f"[name={field.lower()}_date]").fill(f"{day}T00:00")
        return
    form.get_by_text("Select date and time").first.click()
    date = tab.get_by_role("textbox", name=field)
    date.fill(day.replace("-", "/"))
    date.press("Enter")
    tab.keyboard.press("Escape")


@pytest.mark.skipif(AIRFLOW_3_1, reason="Airflow 3.1 shows whether a test succeeds, and no more")
def test_the_form_of_a_connection_to_prefect_tells_whether_prefect_takes_the_key(
    airflow: AirflowInstance, tab: Page
) -> None:
    with FakePrefect() as prefect:
        url = urlsplit(prefect.url)
        try:
            for conn_id, key in (("takes_the_key", KEY), ("takes_no_key", "another")):
                add_connection(airflow, tab, conn_id, f"http://{url.hostname}", str(url.port), key)
            told = f"Prefect's GraphQL API answers at {prefect.url}"
            assert_tested(tab, "takes_the_key", told)
            assert_tested(tab, "takes_no_key", f"{prefect.url} does not take the API key")
        finally:
            for conn_id in ("takes_the_key", "takes_no_key"):
                with suppress(AirflowNotFoundError):
                    airflow.client.request("DELETE", f"connections/{conn_id}")


def add_connection(
    airflow: AirflowInstance, tab: Page, conn_id: str, host: str, port: str, key: str
) -> None:
    tab.goto(f"{airflow.url}/connections")
    tab.get_by_role("button", name="Add Connection").click()
    form = tab.get_by_role("dialog")
    form.get_by_label("Connection ID").fill(conn_id)
    form.get_by_role("combobox").first.click()
    tab.keyboard.type("prefect")
    tab.get_by_role("option", name="Prefect", exact=True).click()
    for label, name, value in (("API URL", "host", host), ("API key", "password", key)):
        expect(form.get_by_text(label, exact=True)).to_be_visible()
        form.locator(f"[name={name}]").fill(value)
    form.locator("[name=port]").fill(port)
    take_picture(tab, "connection_to_prefect")
    form.get_by_role("button", name="Save").click()
    expect(form).to_be_hidden()


def assert_tested(tab: Page, conn_id: str, told: str) -> None:
    row = tab.get_by_role("row").filter(has_text=conn_id)
    row.get_by_role("button", name="Test Connection").click()
    answer = tab.get_by_text(told)
    wait_for(lambda: is_seen(tab, answer), f"{told!r} in the window", 30, 0.2)
    take_picture(tab, f"connection_{conn_id}")
