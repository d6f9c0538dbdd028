"""What looks at flow runs cost a cluster, however many people look and however it answers."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import UUID

import pytest

from flowjob.status.present import Present
from flowjob.ui.job_place import JobPlace
from flowjob.ui.looks import MOST_LOOKS, Looks
from tests.support.fake_api_server import NO_PODS, Answer, FakeApiServer, job_list, status
from tests.support.fake_api_server import job as named_job
from tests.support.flow_runs import connect

ID = str(UUID(int=7))
HANGS = Answer(b"{", goes_on=True)


@pytest.fixture(autouse=True)
def _connected(server: FakeApiServer, monkeypatch: pytest.MonkeyPatch) -> None:
    connect(server.kubeconfig, monkeypatch, "fake")


def place(namespace: str = "flows", flow_run_id: str = ID) -> JobPlace:
    return JobPlace("fake", namespace, "sales", flow_run_id)


def job(flow_run_id: str = ID) -> dict[str, Any]:
    made = named_job("sales")
    made["metadata"]["labels"]["flow_run_id"] = flow_run_id
    return made


def test_many_who_look_at_once_ask_once_and_see_the_same(server: FakeApiServer) -> None:
    server.tell("GET", "/jobs", job_list(job()))
    server.tell("GET", "/pods", NO_PODS)

    async def look() -> list[Any]:
        looks = Looks()
        answers = await asyncio.gather(*(looks.at([place()]) for _ in range(500)))
        return [*answers, await looks.at([place()])]

    answers = asyncio.run(look())
    assert all(each == ({ID: Present(told="the Job has no pod yet")}, []) for each in answers)
    assert (server.count("GET", "/jobs"), server.count("GET", "/pods")) == (1, 1)


def test_a_cluster_that_hangs_is_asked_once_and_others_no_more_than_so_many(
    server: FakeApiServer,
) -> None:
    for kind in ("/jobs", "/pods"):
        server.tell("GET", kind, HANGS)
    places = [place(f"flows-{number}") for number in range(MOST_LOOKS + 5)]

    async def look() -> list[str]:
        looks = Looks()
        await looks.at(places, deadline=2)
        return (await looks.at(places, deadline=0.1))[1]

    told = asyncio.run(look())
    assert sum("the cluster has not answered in time" in each for each in told) == MOST_LOOKS
    assert sum(f"{MOST_LOOKS} others are asked already" in each for each in told) == 5
    assert server.count("GET") <= 2 * MOST_LOOKS
    assert server.count("GET") > 0


def test_a_cluster_that_refuses_is_named_and_left_alone_for_a_while(server: FakeApiServer) -> None:
    server.tell("GET", "/jobs", job_list(job()))
    server.tell("GET", "/pods", status(403, "Forbidden", 'cannot list resource "pods"'))

    async def look() -> list[Any]:
        looks = Looks()
        return [await looks.at([place()]) for _ in range(3)]

    answers = asyncio.run(look())
    about = "Namespace flows, by the Airflow connection 'fake': HTTP 403: "
    for seen, (failure,) in answers:
        assert seen == {}
        assert failure.startswith(about)
        assert 'cannot list resource "pods"' in failure
    assert server.count("GET", "/pods") == 1


def test_of_thousands_of_pods_the_first_hundreds_are_looked_at(server: FakeApiServer) -> None:
    page = {"kind": "PodList", "metadata": {"continue": "more"}}
    items = [{"metadata": {"name": f"{number}"}, "spec": {}} for number in range(100)]
    server.tell("GET", "/jobs", job_list(job()))
    server.tell("GET", "/pods", Answer({**page, "items": items}))
    seen, failures = asyncio.run(Looks().at([place()]))
    assert (set(seen), failures) == ({ID}, [])
    assert server.count("GET", "/pods") == 5


@pytest.mark.parametrize(
    "hostile",
    [
        place("../../../api/v1/secrets"),
        place("flows?watch=true"),
        place(""),
        place(flow_run_id="x)"),
        place(flow_run_id=""),
    ],
)
def test_what_an_xcom_says_becomes_part_of_no_request_unless_it_is_a_name(
    server: FakeApiServer, hostile: JobPlace
) -> None:
    assert asyncio.run(Looks().at([hostile])) == ({}, [])
    assert server.asked == []


def test_the_job_of_another_flow_run_is_not_shown(server: FakeApiServer) -> None:
    server.tell("GET", "/jobs", job_list(job(str(UUID(int=8)))))
    server.tell("GET", "/pods", NO_PODS)
    assert asyncio.run(Looks().at([place()]))[0] == {ID: Present(told="the Job is gone")}
