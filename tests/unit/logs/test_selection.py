"""Which containers' logs are wanted, and how their lines are told apart."""

from __future__ import annotations

from typing import Any

import pytest

from flowjob.logs.selection import LAST_LINES, LogSelection


def pod(**failed: int) -> Any:
    statuses = [
        {"name": name, "state": {"terminated": {"exitCode": code}}} for name, code in failed.items()
    ]
    return {
        "metadata": {
            "name": "sales-1-0-x",
            "labels": {"batch.kubernetes.io/job-completion-index": "0"},
        },
        "spec": {
            "restartPolicy": "Never",
            "initContainers": [
                {"name": "migrate"},
                {"name": "mesh", "restartPolicy": "Always"},
            ],
            "containers": [{"name": "flow"}, {"name": "proxy"}],
        },
        "status": {"containerStatuses": statuses},
    }


@pytest.mark.parametrize(
    ("selection", "streams"),
    [
        (LogSelection(), {"flow": ""}),
        (LogSelection(by_pod=True), {"flow": "[0] "}),
        (LogSelection(["proxy", "migrate"]), {"migrate": "[migrate] ", "proxy": "[proxy] "}),
        (
            LogSelection("all"),
            {
                "migrate": "[migrate] ",
                "mesh": "[mesh] ",
                "flow": "[flow] ",
                "proxy": "[proxy] ",
            },
        ),
        (LogSelection(["proxy"], by_pod=True), {"proxy": "[0 proxy] "}),
    ],
)
def test_lines_of_several_containers_or_pods_say_whose_they_are(
    selection: LogSelection, streams: dict[str, str]
) -> None:
    assert {s.container: s.prefix for s in selection.streams(pod())} == streams
    assert all(s.tail is None for s in selection.streams(pod()))


def test_the_end_of_a_log_that_tells_of_a_failure_is_always_wanted() -> None:
    found = LogSelection().streams(pod(proxy=1, mesh=143))
    assert [(s.container, s.prefix, s.tail) for s in found] == [
        ("flow", "", None),
        ("proxy", "[proxy] ", LAST_LINES),
    ]
