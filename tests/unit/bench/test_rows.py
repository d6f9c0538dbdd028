"""What the rows of the bench tell: what was counted, as figures a flow run or a minute."""

from __future__ import annotations

from collections import Counter

from tests.bench.accounts import said
from tests.bench.contenders import SCENES
from tests.bench.row import FULL


def test_what_was_asked_for_is_told_by_the_flow_run() -> None:
    asked = Counter({"create jobs": 10, "get pods/log": 15, "watch jobs": 1})
    assert said(asked, 10) == "1 create jobs, 1.5 get pods/log, 0.1 watch jobs"


def test_each_scene_has_a_service_account_and_a_dag_of_its_own() -> None:
    assert len({scene.dag_id for scene in SCENES}) == len(SCENES)
    # A label of Kubernetes, which lasts 63 letters, with neither capitals nor underscores.
    assert all(scene.account.replace("-", "").isalnum() for scene in SCENES)
    assert max(len(scene.account) for scene in SCENES) < 63


def test_what_takes_seconds_is_measured_ten_times() -> None:
    assert FULL.rounds >= 10
