"""The flow's log lines: while it runs, each once, over interruptions and restarts."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.cluster import Cluster
from tests.support.flow_runs import SPEC, FlowRuns, connect
from tests.support.node.node import Node
from tests.support.reverse_proxy import ReverseProxy
from tests.support.wait import wait_for

COUNT = "i=0; while [ $i -lt {lines} ]; do echo line $i; i=$((i+1)); sleep {pause}; done"


def count(lines: int, pause: float) -> str:
    return COUNT.format(lines=lines, pause=pause)


def numbered(lines: int) -> list[str]:
    return [f"line {number}" for number in range(lines)]


def test_lines_come_while_the_flow_runs(flow_runs: FlowRuns, batch_v1: Any, namespace: str) -> None:
    job = flow_runs.create(flow_runs.manifest("echo now; sleep 3; echo end"))
    unfinished: list[bool] = []

    def is_unfinished(line: str) -> None:
        seen = batch_v1.read_namespaced_job(job["metadata"]["name"], namespace)
        unfinished.append(line == "now" and not seen.status.conditions)

    assert flow_runs.wait(job, is_unfinished).status == "succeeded"
    assert flow_runs.lines == ["now", "end"]
    assert unfinished[0]


def test_odd_lines_arrive_as_they_are(flow_runs: FlowRuns) -> None:
    script = (
        "echo; echo '  two  '; printf 'caf\\303\\251\\n'; printf '\\377\\n'; printf 'a\\rb\\n';"
        "head -c 40000 /dev/zero | tr '\\0' x; echo; echo same; echo same; printf unfinished"
    )
    assert flow_runs.run(script).status == "succeeded"
    assert flow_runs.lines == [
        "", "  two  ", "café", "\ufffd", "a\rb", "x" * 40000, "same", "same", "unfinished",
    ]  # fmt: skip


BAR = """
i=0
while [ $i -lt 600 ]; do
  printf '\\r%d of 600 steps of the first epoch, and there will be many more of them later on' $i
  i=$((i+1)); [ $i = 400 ] && sleep 8
done
echo; echo trained
"""


def test_a_progress_bar_is_shown_now_and_then_and_at_its_end(flow_runs: FlowRuns) -> None:
    # A node passes on 16 KiB of a line at a time.
    assert flow_runs.run(BAR).status == "succeeded"
    *states, last, end = flow_runs.lines
    assert 1 <= len(states) <= 2
    steps = [int(state.partition(" of 600 steps")[0]) for state in states]
    assert 100 < steps[0] < 400
    assert last.startswith("599 of 600 steps")
    assert end == "trained"


def test_the_line_breaks_of_a_terminal_are_no_part_of_the_lines(flow_runs: FlowRuns) -> None:
    spec = SPEC.replace("{name: flow-container}", "{name: flow-container, tty: true}")
    assert flow_runs.run("echo one; echo two", spec).status == "succeeded"
    assert flow_runs.lines == ["one", "two"]


def test_a_line_of_64_mib_is_cut_and_those_after_it_come(flow_runs: FlowRuns) -> None:
    began = time.monotonic()
    script = "head -c 67108864 /dev/zero | tr '\\0' x; echo; echo after"
    assert flow_runs.run(script).status == "succeeded"
    long, *others = flow_runs.lines
    assert long.startswith("xxx")
    assert long.endswith(" more bytes of this line are cut]")
    assert others == ["after"]
    assert time.monotonic() - began < 30


def test_a_long_line_that_takes_seconds_at_the_end_is_told_once(flow_runs: FlowRuns) -> None:
    write = "head -c 17000 /dev/zero | tr '\\0' {}"
    script = f"{write.format('a')}; echo beside >&2; sleep 3; {write.format('b')}; sleep 3; echo c"
    assert flow_runs.run(script).status == "succeeded"
    assert sorted(flow_runs.lines) == ["a" * 17000 + "b" * 17000 + "c", "beside"]


def test_a_burst_of_lines_arrives_whole_and_in_order(flow_runs: FlowRuns) -> None:
    assert flow_runs.run(count(20_000, 0).replace("sleep 0", ":")).status == "succeeded"
    assert flow_runs.lines == numbered(20_000)


def test_no_line_is_lost_or_doubled_when_the_api_server_goes_away(
    flow_runs: FlowRuns, own_node: Node
) -> None:
    outages: list[float] = []

    def go_away(line: str) -> None:
        if line in ("line 10", "line 60"):
            own_node.kill_api_server() if line == "line 10" else own_node.stop_api_server()
            time.sleep(1.5)  # the outage itself, while the flow goes on writing
            own_node.start_api_server()
            outages.append(time.monotonic())

    job = flow_runs.create(flow_runs.manifest(count(120, 0.1)))
    assert flow_runs.wait(job, go_away).status == "succeeded"
    assert len(outages) == 2
    assert flow_runs.lines == numbered(120)


def test_the_lines_of_each_restart_arrive(
    flow_runs: FlowRuns, caplog: pytest.LogCaptureFixture
) -> None:
    spec = (
        SPEC.replace("restartPolicy: Never", "restartPolicy: OnFailure")
        .replace("backoffLimit: 0", "backoffLimit: 3")
        .replace(
            "containers: [{name: flow-container}]",
            "containers: [{name: flow-container, volumeMounts: [{name: v, mountPath: /v}]}]\n"
            "      volumes: [{name: v, emptyDir: {}}]",
        )
    )
    script = "echo try >> /v/tries; n=$(wc -l < /v/tries); echo begin $n; test $n -ge 3 || exit 1"
    assert flow_runs.run(script, spec).status == "succeeded"
    assert flow_runs.lines == ["begin 1", "begin 2", "begin 3"]
    assert "may be missing" not in caplog.text


def test_the_lines_of_each_pod_of_a_retried_job_arrive(flow_runs: FlowRuns) -> None:
    spec = SPEC.replace("backoffLimit: 0", "backoffLimit: 1")
    outcome = flow_runs.run("echo tried; exit 4", spec)
    assert (outcome.status, outcome.exit_code) == ("failed", 4)
    assert flow_runs.lines == ["tried", "tried"]


def test_a_log_stream_that_never_ends_neither_holds_the_flow_run_up_nor_costs_a_line(
    cluster: Cluster, namespace: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ReverseProxy(cluster.kubeconfig, tmp_path) as proxy:
        connection = connect(proxy.kubeconfig, monkeypatch)
        with FlowRuns(connection, namespace, cluster.shell_image) as flow_runs:
            stream = proxy.hold_reply("GET", "/log")
            job = flow_runs.create(flow_runs.manifest("echo one; sleep 2; echo two"))
            started = time.monotonic()
            assert flow_runs.wait(job).status == "succeeded"
            assert time.monotonic() - started < 30
            stream.wait_until_reached(0)
            assert flow_runs.lines == ["one", "two"]
            stream.lose()


STAMP = len("2026-01-01T00:00:00.123456789Z ")


@pytest.mark.parametrize(
    ("script", "sizes", "lines"),
    [
        pytest.param(
            "echo one; echo two; printf three",
            [STAMP + len("one\n") + 32],
            ["one", "two", "three"],
            id="within its second line",
        ),
        pytest.param(
            "seq 1000 3999",
            [lines * (STAMP + len("1000\n")) for lines in (1500, 2500)],
            [str(number) for number in range(1000, 4000)],
            id="between two lines of a long one",
        ),
    ],
)
def test_a_log_that_the_node_is_still_writing_is_read_to_its_end(
    cluster: Cluster,
    batch_v1: Any,
    namespace: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    script: str,
    sizes: list[int],
    lines: list[str],
) -> None:
    with ReverseProxy(cluster.kubeconfig, tmp_path) as proxy:
        connection = connect(proxy.kubeconfig, monkeypatch)
        with FlowRuns(connection, namespace, cluster.shell_image) as flow_runs:
            job = flow_runs.create(flow_runs.manifest(script))
            name = job["metadata"]["name"]
            wait_for(
                lambda: batch_v1.read_namespaced_job(name, namespace).status.completion_time,
                "the flow's end",
            )
            for size in sizes:
                proxy.shorten_reply("GET", "/log", size)
            assert flow_runs.wait(job).status == "succeeded"
            assert flow_runs.lines == lines


def test_a_flow_that_writes_faster_than_its_lines_are_taken_loses_none_to_its_nodes_rotation(
    flow_runs: FlowRuns, caplog: pytest.LogCaptureFixture
) -> None:
    # A node begins a new file about each ten seconds, where there are 10 MiB.
    script = """
    pad=$(head -c 400 /dev/zero | tr '\\0' x); s=0
    while [ $s -lt 22 ]; do
      seq $((s * 5000)) $((s * 5000 + 4999)) | sed "s/$/ $pad/"; s=$((s + 1)); sleep 1
    done
    """
    began = time.monotonic()

    def take(_: str) -> None:
        if time.monotonic() - began < 25:
            time.sleep(0.001)

    assert flow_runs.wait(flow_runs.create(flow_runs.manifest(script)), take).status == "succeeded"
    came = [int(line.partition(" ")[0]) for line in flow_runs.lines]
    assert came == list(range(110_000))
    assert "may be missing" not in caplog.text


def test_a_flood_comes_whole_although_who_takes_the_lines_is_slower_than_the_flow(
    flow_runs: FlowRuns,
) -> None:
    # Longer than Airflow's log takes for a line: it is far behind when the flow has ended.
    job = flow_runs.create(flow_runs.manifest(count(20_000, 0).replace("sleep 0", ":")))
    outcome = flow_runs.wait(job, on_line=lambda _: time.sleep(0.0005))
    assert outcome.status == "succeeded"
    assert flow_runs.lines == numbered(20_000)
