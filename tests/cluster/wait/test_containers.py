"""Flow runs of several containers or pods: whose lines come, and when the flow run is over."""

from __future__ import annotations

import logging
import time
from typing import Any

import pytest
import yaml

from flowjob.logs.selection import LogSelection
from flowjob.status.result import parse_result
from tests.support.cluster import Cluster
from tests.support.flow_runs import SPEC, FlowRuns


def spec(
    cluster: Cluster, *, init: str = "", side: str = "", job: dict[str, Any] | None = None
) -> str:
    """Return a Job spec with a script as init container, or as plain sidecar."""
    content = yaml.safe_load(SPEC)
    content["spec"].update(job or {})
    pod = content["spec"]["template"]["spec"]

    def container(name: str, script: str) -> dict[str, Any]:
        return {"name": name, "image": cluster.shell_image, "command": ["sh", "-c", script]}

    if init:
        pod["initContainers"] = [container("migrate", init)]
    if side:
        pod["containers"].append(container("proxy", side))
    return yaml.safe_dump(content)


def test_what_keeps_a_job_active_after_its_flow_is_said(
    flow_runs: FlowRuns, cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "flowjob")
    outcome = flow_runs.run("true", spec(cluster, side="sleep 5"))
    assert (outcome.status, outcome.job_is_active) == ("succeeded", False)
    told = [message for message in caplog.messages if "still run: proxy" in message]
    assert len(told) == 1


@pytest.mark.parametrize(("code", "status"), [(0, "succeeded"), (3, "failed")])
def test_a_flow_can_be_waited_for_whose_sidecar_never_ends(
    flow_runs: FlowRuns, cluster: Cluster, code: int, status: str
) -> None:
    script = f"echo done; echo '[1]' > /dev/termination-log; exit {code}"
    job = flow_runs.create(flow_runs.manifest(script, spec(cluster, side="sleep 3600")))
    started = time.monotonic()
    outcome = flow_runs.wait(job, wait_for="flow")
    assert time.monotonic() - started < 30
    assert (outcome.status, outcome.exit_code, outcome.job_is_active) == (status, code, True)
    assert outcome.termination_message == "[1]\n"
    assert flow_runs.lines == ["done"]


# Fails twice, with an exit code that has the kubelet start it again in its pod.
THIRD_TIME = (
    "echo x >> /tries/n; n=$(wc -l < /tries/n); echo begin $n; sleep 1; echo end $n; "
    "[ $n -ge 3 ] || exit 42; echo $n > /dev/termination-log"
)


@pytest.mark.kubernetes(35)
@pytest.mark.parametrize("wait_for", ["job", "flow"])
def test_a_flow_that_its_own_rules_start_again_ends_with_its_last_run(
    flow_runs: FlowRuns, cluster: Cluster, wait_for: str
) -> None:
    side = "sleep 3600" if wait_for == "flow" else ""
    content = yaml.safe_load(spec(cluster, side=side))
    pod = content["spec"]["template"]["spec"]
    pod["volumes"] = [{"name": "tries", "emptyDir": {}}]
    pod["containers"][0] |= {
        "restartPolicy": "Never",
        "restartPolicyRules": [
            {"action": "Restart", "exitCodes": {"operator": "In", "values": [42]}}
        ],
        "volumeMounts": [{"name": "tries", "mountPath": "/tries"}],
    }
    job = flow_runs.create(flow_runs.manifest(THIRD_TIME, yaml.safe_dump(content)))
    outcome = flow_runs.wait(job, wait_for=wait_for)
    assert (outcome.status, outcome.exit_code) == ("succeeded", 0)
    assert outcome.termination_message == "3\n"
    assert flow_runs.lines == [f"{word} {run}" for run in (1, 2, 3) for word in ("begin", "end")]


LEADER = """
if [ "$JOB_COMPLETION_INDEX" = 0 ]; then
    sleep 3; echo '"leader"' > /dev/termination-log; exit 0
fi
trap 'sleep 2; echo "\\"worker\\"" > /dev/termination-log; exit 0' TERM
while true; do sleep 1; done
"""


def test_the_result_of_a_leader_is_the_flow_runs_although_its_workers_end_later(
    flow_runs: FlowRuns, cluster: Cluster
) -> None:
    policy = {"rules": [{"succeededIndexes": "0"}]}
    many = {"completionMode": "Indexed", "completions": 2, "parallelism": 2}
    content = yaml.safe_load(spec(cluster, job={**many, "successPolicy": policy}))
    content["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 20
    outcome = flow_runs.run(LEADER, yaml.safe_dump(content))
    assert (outcome.status, parse_result(outcome)) == ("succeeded", "leader")


def test_the_results_of_all_indexes_come_by_index(flow_runs: FlowRuns, cluster: Cluster) -> None:
    many = {"completionMode": "Indexed", "completions": 3, "parallelism": 3}
    script = 'i=$JOB_COMPLETION_INDEX; [ $i = 1 ] || echo "[$i]" > /dev/termination-log'
    outcome = flow_runs.run(script, spec(cluster, job=many))
    assert parse_result(outcome) == [[0], None, [2]]


def test_the_lines_of_all_containers_say_whose_they_are(
    flow_runs: FlowRuns, cluster: Cluster
) -> None:
    manifest = flow_runs.manifest("echo two", spec(cluster, init="echo one", side="echo three"))
    job = flow_runs.create(manifest)
    assert flow_runs.wait(job, selection=LogSelection("all")).status == "succeeded"
    assert sorted(flow_runs.lines) == ["[flow-container] two", "[migrate] one", "[proxy] three"]
    assert flow_runs.lines[0] == "[migrate] one"


@pytest.mark.parametrize("policy", ["Never", "OnFailure"])
def test_the_last_lines_of_what_failed_come_without_being_asked_for(
    flow_runs: FlowRuns, cluster: Cluster, policy: str
) -> None:
    script = "i=0; while [ $i -lt 150 ]; do echo line $i; i=$((i+1)); done; exit 9"
    text = spec(cluster, init=script).replace("Never", policy)
    outcome = flow_runs.run("echo never", text)
    assert (outcome.status, outcome.container) == ("failed", "migrate")
    told = [int(line.removeprefix("[migrate] line ")) for line in flow_runs.lines]
    assert told[:100] == [*range(50, 150)]
    # The kubelet may restart it before its pod is deleted, and that may end it at any line.
    again = told[100:]
    assert again == [*range(again[0], again[-1] + 1)] if again else len(told) == 100


def test_the_lines_of_each_index_say_whose_they_are(flow_runs: FlowRuns, cluster: Cluster) -> None:
    job = {"completionMode": "Indexed", "completions": 2, "parallelism": 2}
    manifest = flow_runs.manifest("echo part $JOB_COMPLETION_INDEX", spec(cluster, job=job))
    outcome = flow_runs.wait(flow_runs.create(manifest), selection=LogSelection(by_pod=True))
    assert outcome.status == "succeeded"
    assert sorted(flow_runs.lines) == ["[0] part 0", "[1] part 1"]
