"""Whether a container is started again, by what a pod says of itself."""

from __future__ import annotations

from typing import Any

import pytest

from flowjob.status.observation import is_started_again, running_beside_ended_flow

RULES = [{"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}]
OTHERS = [{"action": "Restart", "exitCodes": {"operator": "NotIn", "values": [0, 3]}}]


def pod(policy: str = "Never", *, code: int = 0, phase: str = "Running", **own: Any) -> Any:
    statuses = [
        {"name": "flow", "state": {"terminated": {"exitCode": code}}},
        {"name": "proxy", "state": {"running": {}}},
    ]
    return {
        "metadata": {"name": "sales-1"},
        "spec": {
            "restartPolicy": policy,
            "containers": [{"name": "flow", **own}, {"name": "proxy"}],
        },
        "status": {"phase": phase, "containerStatuses": statuses},
    }


@pytest.mark.parametrize(
    ("case", "code", "again"),
    [
        (pod(), 1, False),
        (pod("OnFailure"), 1, True),
        (pod("OnFailure"), 0, False),
        (pod("OnFailure", phase="Failed"), 1, False),
        (pod("OnFailure", restartPolicy="Never"), 1, False),
        (pod(restartPolicy="Always"), 0, True),
        (pod(restartPolicy="OnFailure"), 1, True),
        (pod(restartPolicy="Never", restartPolicyRules=RULES), 42, True),
        (pod(restartPolicy="Never", restartPolicyRules=RULES), 1, False),
        (pod(restartPolicy="Never", restartPolicyRules=OTHERS), 1, True),
        (pod(restartPolicy="Never", restartPolicyRules=OTHERS), 3, False),
        (pod(restartPolicy="Never", restartPolicyRules=RULES, phase="Failed"), 42, False),
    ],
)
def test_rules_own_policy_and_the_pods_policy_decide_in_this_order(
    case: Any, code: int, again: bool
) -> None:
    assert is_started_again(case, "flow", code) == again


@pytest.mark.parametrize(("code", "beside"), [(42, []), (1, ["proxy"]), (0, ["proxy"])])
def test_a_flow_that_is_started_again_has_not_ended(code: int, beside: list[str]) -> None:
    case = pod(code=code, restartPolicy="Never", restartPolicyRules=RULES)
    assert running_beside_ended_flow(case) == beside
