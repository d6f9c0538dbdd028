from __future__ import annotations

from configparser import ConfigParser
from pathlib import Path

import pytest

from flowjob.flow_run import TaskInstanceKey
from flowjob.status.outcome import Outcome
from flowjob.worker.run_links import (
    SETTINGS,
    LinkTemplateError,
    facts_of,
    is_known_later,
    link_of,
    page_of,
)

JOB = {
    "metadata": {
        "name": "sales-1",
        "namespace": "eu",
        "creationTimestamp": "2026-02-03T00:00:01Z",
        "labels": {"flow_run_id": "5f1d"},
    }
}


def test_a_link_leads_to_the_job_as_soon_as_there_is_one() -> None:
    template = "https://console/{namespace}/{job_name}?id={flow_run_id}&pod={pod}&from={started_at}"
    known = "https://console/eu/sales-1?id=5f1d"
    assert link_of(template, facts_of(JOB, None)) == f"{known}&pod=&from=2026-02-03T00%3A00%3A01Z"
    outcome = Outcome("succeeded", pod="sales-1-x", started_at="2026-02-03T00:00:05Z")
    assert link_of(template, facts_of(JOB, outcome)) == (
        f"{known}&pod=sales-1-x&from=2026-02-03T00%3A00%3A05Z"
    )


def test_the_settings_that_the_docs_show_make_links() -> None:
    shown = ConfigParser(interpolation=None)
    shown.read(Path(__file__).parents[3] / "docs" / "examples" / "links.cfg")
    assert set(shown["flowjob"]) == set(SETTINGS.values())
    facts = facts_of(JOB, Outcome("succeeded", pod="sales-1-x", finished_at="9"))
    links = [link_of(template, facts) for template in shown["flowjob"].values()]
    assert links[0].endswith("/jobs/eu/sales-1")
    assert links[1].endswith("?pod=sales-1-x&from=2026-02-03T00%3A00%3A01Z&to=9")


def test_no_value_can_change_where_a_link_leads() -> None:
    facts = {**facts_of(JOB, None), "pod": "../?a=b&c#d /\n{node}\u00e9"}
    assert link_of("https://console/{pod}", facts) == (
        "https://console/..%2F%3Fa%3Db%26c%23d%20%2F%0A%7Bnode%7D%C3%A9"
    )


def test_braces_of_the_address_itself_are_doubled() -> None:
    template = 'https://grafana/explore?left={{"q":"{job_name}"}}'
    assert link_of(template, facts_of(JOB, None)) == 'https://grafana/explore?left={"q":"sales-1"}'


@pytest.mark.parametrize(
    ("template", "told"),
    [
        ("https://x/{nodes}", "names {nodes}, which is none of namespace, job_name"),
        ("https://x/{}", "names {}, which is none of"),
        ("https://x/{0}", "names {0}, which is none of"),
        ("https://x/{pod.__class__}", "names {pod.__class__}, which is none of"),
        ("https://x/{pod!r}", "names {pod}, which is none of"),
        ("https://x/{pod:>9}", "names {pod}, which is none of"),
        ("https://x/{", "double a brace"),
        ("https://x/}", "double a brace"),
    ],
)
def test_a_template_that_names_something_else_is_told_in_a_sentence(
    template: str, told: str
) -> None:
    with pytest.raises(LinkTemplateError) as error:
        link_of(template, facts_of(JOB, None))
    assert told in str(error.value)
    assert "\n" not in str(error.value)
    assert not is_known_later(template)


def test_a_link_is_written_again_only_where_more_of_it_is_known_later() -> None:
    assert not is_known_later("https://x/{namespace}/{job_name}/{flow_run_id}")
    for name in ("pod", "node", "started_at", "finished_at"):
        assert is_known_later(f"https://x/{{{name}}}")


@pytest.mark.parametrize(
    ("key", "page"),
    [
        (("sales", "run", "load"), "dags/sales/runs/run/tasks/load/plugin/flow_run"),
        (("sales", "run", "load", 7), "dags/sales/runs/run/tasks/load/mapped/7/plugin/flow_run"),
        (
            ("a", "manual__2026-01-01T00:00:00+00:00/../?x#y", "g.b"),
            "dags/a/runs/manual__2026-01-01T00%3A00%3A00%2B00%3A00%2F..%2F%3Fx%23y/tasks/g.b"
            "/plugin/flow_run",
        ),
    ],
)
def test_the_page_of_a_flow_run_is_found_by_any_address_of_airflows(
    key: tuple[str, str, str], page: str
) -> None:
    assert page_of(TaskInstanceKey(*key)) == page
