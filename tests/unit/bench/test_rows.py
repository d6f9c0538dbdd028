"""What the rows of the bench tell: what was counted, as figures a flow run or a minute."""

from __future__ import annotations

from collections import Counter

from tests.bench.accounts import said
from tests.bench.contenders import JOB, OURS, SCENES
from tests.bench.goals import verdicts
from tests.bench.row import FULL
from tests.bench.rows.waits import measures_of, notes_of
from tests.bench.waiting import Waited


def waited(lags: tuple[float, ...], unheard: int = 0) -> Waited:
    return Waited(
        requests_a_minute=60, cpu=0.5, memory=90, memory_of_waits=9, lags=lags, unheard=unheard
    )


def test_what_was_asked_for_is_told_by_the_flow_run() -> None:
    asked = Counter({"create jobs": 10, "get pods/log": 15, "watch jobs": 1})
    assert said(asked, 10) == "1 create jobs, 1.5 get pods/log, 0.1 watch jobs"


def test_who_hears_of_nothing_has_no_time_and_is_told_of() -> None:
    found = {OURS.name: waited((0.1, 0.3)), JOB.name: waited((), unheard=2)}
    last = measures_of(1000, found)[-1]
    assert last.name == "1,000 waits: Complete to event"
    assert dict(last.samples) == {OURS.name: (0.1, 0.3)}
    assert verdicts(last) == []
    assert notes_of(1000, 2, found) == [
        "1,000 waits: of 2 ends `KubernetesJobOperator` has not heard of 2 in a minute."
    ]


def test_each_scene_has_a_service_account_and_a_dag_of_its_own() -> None:
    assert len({scene.dag_id for scene in SCENES}) == len(SCENES)
    # A label of Kubernetes, which lasts 63 letters, with neither capitals nor underscores.
    assert all(scene.account.replace("-", "").isalnum() for scene in SCENES)
    assert max(len(scene.account) for scene in SCENES) < 63


def test_what_takes_seconds_is_measured_ten_times() -> None:
    assert FULL.rounds >= 10
    assert FULL.waits == (100, 1000)
    assert FULL.own_waits == (5000, 20000)
