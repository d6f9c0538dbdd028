"""A log that is fetched over what breaks off has each line once, and costs no task."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from flowjob.cluster.api_server import Cluster
from flowjob.exceptions import ClusterError
from flowjob.kubernetes_object import KubernetesObject
from flowjob.logs.collect import collect_logs
from flowjob.logs.follow import FlowLog
from flowjob.logs.selection import LogSelection
from flowjob.status.observation import Observation
from flowjob.worker.loop_thread import LoopThread
from tests.support.fake_api_server import Answer, FakeApiServer, forbidden, job
from tests.support.loop_hold import longest_hold

JOB = job("sales")
LINES = [f"2026-01-01T00:00:0{second}.000000001Z line {second}\n".encode() for second in range(9)]
TOLD = [f"line {second}" for second in range(9)]


def running_pod() -> KubernetesObject:
    running = pod()
    running["status"] = {
        "phase": "Running",
        "containerStatuses": [{"name": "flow", "restartCount": 0, "state": {"running": {}}}],
    }
    return running


def pod(name: str = "sales-1", owner: str = "uid-of-sales", **run: str) -> KubernetesObject:
    metadata = {
        "name": name,
        "namespace": "flows",
        "uid": f"uid-of-{name}",
        "labels": JOB["metadata"]["labels"],
        "creationTimestamp": "2026-01-01T00:00:00Z",
        "ownerReferences": [{"uid": owner, "controller": True}],
    }
    ended = {"exitCode": 0, "reason": "Completed", **run}
    statuses = [{"name": "flow", "restartCount": 0, "state": {"terminated": ended}}]
    return {
        "metadata": metadata,
        "spec": {"restartPolicy": "Never", "containers": [{"name": "flow"}]},
        "status": {"phase": "Succeeded", "containerStatuses": statuses},
    }


@pytest.fixture
def server(server: FakeApiServer) -> FakeApiServer:
    pods = [pod(), pod("foreign", owner="another")]
    server.tell("GET", "/pods", Answer({"kind": "PodList", "metadata": {}, "items": pods}))
    server.tell("GET", "/foreign/log", Answer(b"2026-01-01T00:00:00Z not the flow's\n"))
    return server


def collected(cluster: Cluster, loop: LoopThread) -> list[str]:
    lines: list[str] = []
    loop.run(collect_logs(cluster, JOB, LogSelection(), lines.append, {}, is_over=True))
    return lines


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(Answer(b"".join(LINES[:6]) + LINES[6][:9], breaks=True), id="breaks off"),
        pytest.param(Answer(b"", 502), id="a bad gateway"),
    ],
)
def test_what_breaks_off_costs_a_fetched_log_no_line_and_tells_none_twice(
    cluster: Cluster, server: FakeApiServer, loop: LoopThread, first: Answer
) -> None:
    server.tell("GET", "/sales-1/log", first, Answer(b"".join(LINES)))
    assert collected(cluster, loop) == TOLD
    assert server.count("GET", "/sales-1/log") == 2


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_the_kubelets_word_that_a_log_is_gone_is_no_line_of_the_flows(
    cluster: Cluster,
    server: FakeApiServer,
    loop: LoopThread,
    caplog: pytest.LogCaptureFixture,
    end: bytes,
) -> None:
    word = b"unable to retrieve container logs for containerd://7fd435fb"
    server.tell("GET", "/sales-1/log", Answer(LINES[0] + word + end))
    assert collected(cluster, loop) == TOLD[:1]
    told = "The log of container 'flow' of pod sales-1 is not on its node any more: unable"
    assert caplog.text.count(told) == 1


def test_a_log_that_a_node_threw_away_with_an_evicted_pods_container_is_told_as_that(
    cluster: Cluster, server: FakeApiServer, loop: LoopThread, caplog: pytest.LogCaptureFixture
) -> None:
    message = 'container "flow" in pod "sales-1" is terminated'
    server.tell("GET", "/sales-1/log", Answer({"kind": "Status", "message": message}, 400))
    assert collected(cluster, loop) == []
    told = f"container 'flow' of pod sales-1 is not on its node any more: {message}"
    assert caplog.text.count(told) == 1


def test_a_container_that_never_ran_has_no_log_that_could_be_missing(
    cluster: Cluster, server: FakeApiServer, loop: LoopThread, caplog: pytest.LogCaptureFixture
) -> None:
    message = 'container "flow" in pod "sales-1" is waiting to start: PodInitializing'
    server.tell("GET", "/sales-1/log", Answer({"kind": "Status", "message": message}, 400))
    assert collected(cluster, loop) == []
    assert caplog.text == ""


def test_a_log_that_may_not_be_read_is_told_in_one_sentence(
    cluster: Cluster, server: FakeApiServer, loop: LoopThread
) -> None:
    server.tell("GET", "/sales-1/log", forbidden("get", "pods/log"))
    with pytest.raises(ClusterError, match="the flow's log cannot be read: HTTP 403"):
        collected(cluster, loop)


def flood(count: int, digits: int = 9) -> list[bytes]:
    """Return lines of which a second has a thousand; with fewer digits, many have one time."""
    times = [f"2026-01-01T00:00:{n // 1000:02}.{n % 1000:09}"[: 20 + digits] for n in range(count)]
    return [b"%sZ line %d\n" % (time.encode(), n) for n, time in enumerate(times)]


def test_a_flood_that_ends_within_a_line_tells_that_its_node_may_have_lost_the_rest(
    cluster: Cluster,
    server: FakeApiServer,
    loop: LoopThread,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("flowjob.logs.log_end.LOG_WRITING", (0.01, 0.02))
    lines = flood(2000)
    cut = Answer(b"".join(lines)[:-3])
    server.tell("GET", "/sales-1/log", cut)
    assert collected(cluster, loop) == [*(f"line {number}" for number in range(1999)), "line 19"]
    told = "The log of container 'flow' of pod sales-1 ends within one of many lines: its node may"
    assert caplog.text.count(told) == 1


@pytest.mark.parametrize("digits", [9, 1], ids=["each line has its time", "many lines have one"])
def test_a_node_that_still_writes_the_end_of_a_flood_costs_no_line(
    cluster: Cluster,
    server: FakeApiServer,
    loop: LoopThread,
    monkeypatch: pytest.MonkeyPatch,
    digits: int,
) -> None:
    monkeypatch.setattr("flowjob.logs.log_end.LOG_WRITING", (0.01, 0.02))
    lines = flood(2000, digits)
    last = [b"".join(lines[1000:1900]), *[b"".join(lines[1000:])] * 4]
    server.tell("GET", "/sales-1/log", *map(Answer, [b"".join(lines[:1800]), *last]))
    assert collected(cluster, loop) == [f"line {number}" for number in range(2000)]


def test_a_container_that_goes_on_flooding_is_not_read_for_ever(
    cluster: Cluster,
    server: FakeApiServer,
    loop: LoopThread,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("flowjob.logs.log_end.LOG_WRITING", (0.01, 0.02))
    lines = [b"2026-01-01T00:00:00.%09dZ line %d\n" % (n, n) for n in range(4000)]
    grows = [Answer(b"".join(lines[: 1000 + 50 * n])) for n in range(60)]
    server.tell("GET", "/sales-1/log", *grows)
    shown = collected(cluster, loop)
    assert shown == [f"line {number}" for number in range(len(shown))]
    assert server.count("GET", "/sales-1/log") < 20


def test_a_flow_that_ends_within_a_line_is_not_waited_for_long(
    cluster: Cluster,
    server: FakeApiServer,
    loop: LoopThread,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("flowjob.logs.log_end.LOG_WRITING", (0.01, 0.02))
    server.tell("GET", "/sales-1/log", Answer(b"".join(LINES)[:-1]))
    assert collected(cluster, loop) == TOLD
    assert "its node may have lost" not in caplog.text


def test_what_came_before_a_log_that_may_not_be_read_is_shown(
    cluster: Cluster, server: FakeApiServer, loop: LoopThread
) -> None:
    pods = [pod(), pod("sales-2")]
    server.tell("GET", "/pods", Answer({"kind": "PodList", "metadata": {}, "items": pods}))
    server.tell("GET", "/sales-1/log", Answer(b"".join(LINES)))
    server.tell("GET", "/sales-2/log", forbidden("get", "pods/log"))
    lines: list[str] = []
    with pytest.raises(ClusterError, match="the flow's log cannot be read: HTTP 403"):
        loop.run(collect_logs(cluster, JOB, LogSelection(), lines.append, {}, is_over=True))
    assert lines == TOLD


def test_a_bad_gateway_at_a_containers_end_costs_a_followed_log_no_line(
    cluster: Cluster, server: FakeApiServer, loop: LoopThread
) -> None:
    server.tell("GET", "/sales-1/log", Answer(b"", 502), Answer(b"".join(LINES)))
    lines: list[str] = []

    async def follow() -> None:
        log = FlowLog(cluster, LogSelection(), lines.append)
        log.see(Observation(JOB, {"uid-of-sales-1": pod()}))
        async with asyncio.timeout(20):
            await log.finish()
        await log.close()

    loop.run(follow())
    assert lines == TOLD


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(Answer(LINES[0], breaks=True), id="broke off"),
        pytest.param(Answer(LINES[0]), id="came to its end"),
    ],
)
def test_an_end_that_is_seen_right_after_a_stream_costs_neither_the_task_nor_a_line(
    cluster: Cluster, server: FakeApiServer, loop: LoopThread, first: Answer
) -> None:
    server.tell("GET", "/sales-1/log", first, Answer(b"".join(LINES)))
    server.tell("GET", "/pods/sales-1", Answer({"kind": "Pod"} | pod()))
    lines: list[str] = []
    has_begun = threading.Event()

    def take(line: str) -> None:
        lines.append(line)
        has_begun.set()

    async def follow() -> None:
        log = FlowLog(cluster, LogSelection(), take)
        log.see(Observation(JOB, {"uid-of-sales-1": running_pod()}))
        async with asyncio.timeout(20):
            await asyncio.to_thread(has_begun.wait, 20)
            # The pod's end and the Job's are seen at once, as after an outage.
            log.see(Observation(JOB, {"uid-of-sales-1": pod()}))
            await log.finish()
        await log.close()

    loop.run(follow())
    assert lines == TOLD


def test_an_api_server_that_knows_no_rights_yet_after_its_start_costs_no_line(
    cluster: Cluster, server: FakeApiServer, loop: LoopThread
) -> None:
    refused = forbidden("get", "pods/log")
    whole = Answer(b"".join(LINES))
    server.tell("GET", "/sales-1/log", Answer(LINES[0], breaks=True), refused, refused, whole)
    server.tell("GET", "/pods/sales-1", forbidden("get", "pods"), Answer({"kind": "Pod"} | pod()))
    lines: list[str] = []
    has_all = threading.Event()

    def take(line: str) -> None:
        lines.append(line)
        if line == TOLD[-1]:
            has_all.set()

    async def follow() -> None:
        log = FlowLog(cluster, LogSelection(), take)
        log.see(Observation(JOB, {"uid-of-sales-1": running_pod()}))
        await asyncio.to_thread(has_all.wait, 20)
        await log.finish()
        await log.close()

    loop.run(follow())
    assert lines == TOLD


def test_a_thousand_logs_that_may_not_be_read_are_told_in_a_few_lines(
    cluster: Cluster, server: FakeApiServer, loop: LoopThread, caplog: pytest.LogCaptureFixture
) -> None:
    server.tell("GET", "/log", forbidden("get", "pods/log"))

    async def follow() -> None:
        log = FlowLog(cluster, LogSelection(), lambda line: None)
        log.see(Observation(JOB, {str(number): pod(f"sales-{number}") for number in range(1000)}))
        await log.finish()
        await log.close()

    loop.run(follow())
    told = [line for line in caplog.messages if "log" in line and "can" in line]
    assert len(told) == 11
    assert told[-1] == "Nor can 990 more logs of the flow's"


def test_a_line_of_megabytes_comes_soon_and_is_cut_with_a_word_about_it(
    cluster: Cluster, server: FakeApiServer, loop: LoopThread
) -> None:
    long = b"x" * 2**24
    server.tell("GET", "/sales-1/log", Answer(b"2026-01-01T00:00:00Z " + long + b"\n"))
    (line,) = collected(cluster, loop)
    assert line.startswith("xxx")
    assert line.endswith("more bytes of this line are cut]")


@pytest.mark.parametrize("kept_from", [3, 4])
def test_lines_that_a_node_has_rotated_away_since_the_last_time_are_told_of(
    cluster: Cluster,
    server: FakeApiServer,
    loop: LoopThread,
    caplog: pytest.LogCaptureFixture,
    kept_from: int,
) -> None:
    server.tell("GET", "/sales-1/log", Answer(b"".join(LINES[kept_from:])))
    lines: list[str] = []
    positions = {"uid-of-sales-1/flow": "2026-01-01T00:00:03.000000001Z"}
    loop.run(collect_logs(cluster, JOB, LogSelection(), lines.append, positions, is_over=True))
    assert lines == TOLD[4:]
    told = "Lines of container 'flow' of pod sales-1 after 2026-01-01T00:00:03.000000001Z may be"
    assert caplog.text.count(told) == (1 if kept_from == 4 else 0)


START, LATER = "2026-01-01T00:00:00Z", "2026-01-01T00:00:20Z"
EARLIER = "2025-12-31T23:59:50Z"
AT_3, AT_8 = (f"2026-01-01T00:00:0{second}.000000001Z" for second in (3, 8))
UNKNOWN = "of pod sales-1 has no lines %s: it wrote none, or its node, which keeps the last 10 MiB"


@pytest.mark.parametrize(
    ("kept_from", "started_at", "finished_at", "position", "told"),
    [
        pytest.param(9, START, LATER, "", f"before {LATER}", id="all"),
        pytest.param(8, EARLIER, LATER, "", f"before {AT_8}", id="all but one"),
        pytest.param(9, START, LATER, AT_3, f"after {AT_3}", id="all since the last time"),
        pytest.param(3, START, LATER, AT_3, "", id="none"),
        pytest.param(9, EARLIER, "2025-12-31T23:59:58Z", "", "", id="a short flow's"),
        pytest.param(9, "1970-01-01T00:00:00Z", START, "", "", id="of a flow that never ran"),
    ],
)
def test_lines_that_a_node_may_have_rotated_away_without_a_sign_are_told_of(
    cluster: Cluster,
    server: FakeApiServer,
    loop: LoopThread,
    caplog: pytest.LogCaptureFixture,
    kept_from: int,
    started_at: str,
    finished_at: str,
    position: str,
    told: str,
) -> None:
    caplog.set_level("INFO", "flowjob")
    ended = pod(startedAt=started_at, finishedAt=finished_at)
    ended["metadata"]["creationTimestamp"] = EARLIER
    server.tell("GET", "/pods", Answer({"kind": "PodList", "metadata": {}, "items": [ended]}))
    server.tell("GET", "/sales-1/log", Answer(b"".join(LINES[kept_from:])))
    positions = {"uid-of-sales-1/flow": position} if position else {}
    loop.run(collect_logs(cluster, JOB, LogSelection(), lambda _: None, positions, is_over=True))
    assert caplog.text.count(UNKNOWN % told if told else "has no lines") == bool(told)


def test_a_thousand_logs_without_a_line_are_told_of_in_a_few_lines(
    cluster: Cluster, server: FakeApiServer, loop: LoopThread, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "flowjob")
    pods = [pod(f"sales-{number}", startedAt=START, finishedAt=LATER) for number in range(1000)]
    server.tell("GET", "/pods", Answer({"kind": "PodList", "metadata": {}, "items": pods}))
    server.tell("GET", "/log", Answer(b""))
    loop.run(collect_logs(cluster, JOB, LogSelection(), lambda _: None, {}, is_over=True))
    told = [line for line in caplog.messages if "has no lines" in line or "known" in line]
    assert len(told) == 11
    assert told[-1] == "Nor is it known of 990 more containers"


@pytest.mark.parametrize("kept_from", [9, 8])
def test_who_takes_a_log_up_late_tells_of_lines_that_may_be_gone(
    cluster: Cluster,
    server: FakeApiServer,
    loop: LoopThread,
    caplog: pytest.LogCaptureFixture,
    kept_from: int,
) -> None:
    caplog.set_level("INFO", "flowjob")
    server.tell("GET", "/sales-1/log", Answer(b"".join(LINES[kept_from:])))
    ended = pod(startedAt=EARLIER, finishedAt=LATER)
    ended["metadata"]["creationTimestamp"] = EARLIER
    lines: list[str] = []

    async def follow() -> None:
        log = FlowLog(cluster, LogSelection(), lines.append)
        log.see(Observation(JOB, {"uid-of-sales-1": ended}))
        await log.finish()
        await log.close()

    loop.run(follow())
    assert lines == TOLD[kept_from:]
    until = AT_8 if lines else LATER
    assert caplog.text.count(UNKNOWN % f"before {until}") == 1


def test_a_pod_that_changes_while_its_flow_ends_costs_no_further_request(
    cluster: Cluster, server: FakeApiServer, loop: LoopThread
) -> None:
    server.tell("GET", "/sales-1/log", Answer(LINES[0]))

    async def follow() -> None:
        has_come = threading.Event()
        log = FlowLog(cluster, LogSelection(), lambda _: has_come.set())
        log.see(Observation(JOB, {"uid-of-sales-1": running_pod()}))
        async with asyncio.timeout(20):
            await asyncio.to_thread(has_come.wait, 20)
            for _ in range(3):
                # Its stream has ended by then.
                await asyncio.sleep(0.1)
                log.see(Observation(JOB, {"uid-of-sales-1": running_pod()}))
            log.see(Observation(JOB, {"uid-of-sales-1": pod()}))
            await log.finish()
        await log.close()

    loop.run(follow())
    # One that follows, and one for what came last.
    assert server.count("GET", "/sales-1/log") == 2


def test_a_flood_of_lines_does_not_hold_up_a_kill(
    cluster: Cluster,
    server: FakeApiServer,
    loop: LoopThread,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("flowjob.logs.log_end.LOG_WRITING", (0.01, 0.02))
    lines = b"".join(b"2026-01-01T00:00:00.%09dZ %d\n" % (n, n) for n in range(5_000))
    server.tell("GET", "/sales-1/log", Answer(lines))

    def emit(line: str) -> None:
        """Take the line, as slowly as Airflow's log does."""
        begun = time.thread_time()
        while time.thread_time() - begun < 0.0002:
            pass

    async def collect() -> float:
        async with longest_hold() as hold:
            await collect_logs(cluster, JOB, LogSelection(), emit, {}, is_over=True)
        return hold.seconds

    assert loop.run(collect()) < 0.05
