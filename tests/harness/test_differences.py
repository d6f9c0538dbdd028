"""The comparison behind "untouched" finds what was touched."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from tests.support.differences import differences, unexpected_differences

JOB: dict[str, Any] = {
    "metadata": {"name": "a", "labels": {"team": "data"}},
    "spec": {
        "backoffLimit": 0,
        "template": {
            "metadata": {},
            "spec": {"containers": [{"name": "flow", "image": "a"}, {"name": "b", "image": "b"}]},
        },
    },
}


def changed(path: str, value: Any) -> dict[str, Any]:
    job = copy.deepcopy(JOB)
    *parents, last = path.split("/")
    place: Any = job
    for key in parents:
        place = place[int(key)] if key.isdigit() else place[key]
    place[last] = value
    return job


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("metadata/name", "b"),
        ("metadata/annotations", {"flowjob/dag_id": "d"}),
        ("spec/template/metadata/labels", {"identifier": "i", "job-name": "a"}),
        ("spec/template/spec/containers/0/env", [{"name": "a", "value": "b"}]),
        ("status", {"active": 1}),
    ],
)
def test_what_a_flow_run_and_the_server_may_change_is_accepted(path: str, value: Any) -> None:
    assert differences(JOB, changed(path, value))
    assert unexpected_differences(JOB, changed(path, value)) == set()


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("metadata/labels", {"team": "other"}),
        ("metadata/labels", {}),
        ("metadata/annotations", {"other/dag_id": "d"}),
        ("spec/backoffLimit", 1),
        ("spec/parallelism", 1),
        ("spec/template/metadata/labels", {"team": "data"}),
        ("spec/template/spec/restartPolicy", "Never"),
        ("spec/template/spec/containers/0/resources", {"limits": {"cpu": "1"}}),
        ("spec/template/spec/containers/1/image", "c"),
        ("spec/template/spec/containers", [{"name": "flow", "image": "a"}]),
    ],
)
def test_anything_else_is_found(path: str, value: Any) -> None:
    assert unexpected_differences(JOB, changed(path, value))
