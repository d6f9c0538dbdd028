"""The promises of the cluster that all other tests stand on."""

import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3
from kubernetes import client, config

from tests.support.access import restricted_kubeconfig
from tests.support.audit import AuditLog
from tests.support.cluster import Cluster
from tests.support.interrupts import INTERRUPTIBLE
from tests.support.node import processes
from tests.support.node.images import FLOW_IMAGE, SHELL_IMAGE
from tests.support.node.node import Node
from tests.support.proxy import FaultProxy
from tests.support.traces import (
    all_network_namespaces,
    container_processes,
    listening_addresses,
    machine_state,
    network_namespaces,
    traces,
)
from tests.support.wait import wait_for

CHECKOUT = Path(__file__).parents[2]
COMMAND = (*INTERRUPTIBLE, sys.executable, "-m", "tests.support.node")


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short path for a further node, which is stopped at the end."""
    path = Path(tempfile.mkdtemp(prefix="flowjob-node-"))
    yield path
    Node(path).stop()


@pytest.fixture
def impatient(cluster: Cluster) -> Iterator[Any]:
    """A client that gives up soon, for an API server that does not answer."""
    with _client(cluster.kubeconfig) as api_client:
        yield client.CoreV1Api(api_client)


def test_a_job_with_python_and_one_without_run_to_completion(
    cluster: Cluster, namespace: str, batch_v1: Any
) -> None:
    python = ["python", "-c", "import json, importlib, ssl"]
    shell = ["sh", "-c", "true && date && touch /tmp/x && test -e /tmp/x"]
    _create_job(batch_v1, namespace, "python", cluster.flow_image, python)
    _create_job(batch_v1, namespace, "shell", cluster.shell_image, shell)
    assert _outcome(batch_v1, namespace, "python") == "Complete"
    assert _outcome(batch_v1, namespace, "shell") == "Complete"


def test_the_flow_image_has_the_flows_of_this_checkout(
    own_node: Node, namespace: str, batch_v1: Any
) -> None:
    import_flows = ["python", "-c", "import flows; assert flows.__file__, flows.__path__"]
    _create_job(batch_v1, namespace, "flows", FLOW_IMAGE, import_flows)
    assert _outcome(batch_v1, namespace, "flows") == "Complete"


@pytest.mark.alone
def test_a_second_node_starts_in_20_s_beside_the_first_and_leaves_nothing_behind(
    own_node: Node, namespace: str, batch_v1: Any, folder: Path
) -> None:
    before = machine_state()
    second = Node(folder)
    started = time.monotonic()
    second.start(ends_with_caller=True)
    assert time.monotonic() - started < 20
    with _client(second.kubeconfig) as api_client:
        jobs = ((batch_v1, namespace), (client.BatchV1Api(api_client), "default"))
        for batch, where in jobs:
            _create_job(batch, where, "twin", SHELL_IMAGE, ["true"])
            # This one still runs when the node is stopped.
            _create_job(batch, where, "endless", SHELL_IMAGE, ["sleep", "3600"])
        assert [_outcome(batch, where, "twin") for batch, where in jobs] == ["Complete"] * 2
        used = wait_for(
            lambda: network_namespaces(container_processes(folder)), "the second node's pod"
        )
    assert not used & network_namespaces(container_processes(own_node.folder))
    assert "mount" in "".join(traces(folder))

    second.stop()

    assert traces(folder) == []
    assert not used & all_network_namespaces()
    assert machine_state() == before
    assert processes.find(own_node.folder, "kubelet")


def test_a_node_whose_starter_was_killed_is_refused_a_second_start_and_cleaned_by_down(
    own_node: Node, folder: Path
) -> None:
    with _up(folder) as starter:
        wait_for(lambda: processes.find(folder, "kubelet"), "the kubelet to be started", 60)
        starter.kill()
    assert processes.find(folder, "kubelet")

    again = _run("up", folder)
    assert again.returncode == 1
    assert f"python -m tests.support.node down {folder}" in again.stderr

    down = _run("down", folder)
    assert down.returncode == 0, down.stderr
    assert traces(folder) == []


def test_down_removes_no_folder_but_a_nodes(own_node: Node, tmp_path: Path) -> None:
    treasure = tmp_path / "treasure"
    treasure.touch()
    assert "no node's" in _run("down", tmp_path).stderr
    assert treasure.exists()


def test_ctrl_c_while_a_node_starts_leaves_nothing_behind(own_node: Node, folder: Path) -> None:
    with _up(folder) as starter:
        wait_for(lambda: processes.find(folder, "kube-apiserver"), "the API server's start", 60)
        starter.send_signal(signal.SIGINT)
        starter.wait(30)
    assert traces(folder) == []


@pytest.mark.parametrize("options", [(), ("-n", "1")], ids=["in one process", "in a worker"])
def test_ctrl_c_in_the_middle_of_a_test_run_leaves_nothing_behind(
    own_node: Node, tmp_path: Path, options: tuple[str, ...]
) -> None:
    told = tmp_path / "folder"
    test = f"""
        import pathlib, threading

        def test_runs_for_ever(cluster, namespace):
            pathlib.Path({str(told)!r}).write_text(str(cluster.node.folder))
            threading.Event().wait()
    """
    with _pytest(tmp_path, test, *options) as run:
        wait_for(lambda: told.exists() and told.read_text(), "the test to begin", 90)
        run.send_signal(signal.SIGINT)
        output, _ = run.communicate(timeout=60)
    assert "KeyboardInterrupt" in output
    assert traces(Path(told.read_text())) == []


def test_when_a_test_run_is_killed_its_node_dies_with_it_and_down_removes_the_rest(
    own_node: Node, folder: Path
) -> None:
    start = "import sys, tests.support.cluster as f; "
    start += "f.Node(f.Path(sys.argv[1])).start(ends_with_caller=True)"
    with subprocess.Popen([sys.executable, "-c", start, str(folder)], cwd=CHECKOUT) as starter:
        wait_for(lambda: processes.find(folder, "kube-apiserver"), "the API server's start", 60)
        starter.kill()
    wait_for(lambda: not processes.find(folder), "the node's processes to end")
    assert _run("down", folder).returncode == 0
    assert traces(folder) == []


def test_with_a_kubeconfig_given_tests_of_the_node_are_left_out_and_failures_show_evidence(
    own_node: Node, tmp_path: Path
) -> None:
    test = """
        def test_fails(cluster, namespace, core_v1):
            assert cluster.node is None
            core_v1.create_namespaced_pod(namespace, {
                "metadata": {"name": "stuck"},
                "spec": {"nodeName": "missing",
                         "containers": [{"name": "flow", "image": "local/busybox:1"}]},
            })
            assert False

        def test_needs_the_node(own_node):
            pass
    """
    with _pytest(tmp_path, test, KUBECONFIG=str(own_node.kubeconfig)) as run:
        output, _ = run.communicate(timeout=60)
    assert "1 tests left out" in output
    assert "1 failed, 1 deselected" in output
    assert "stuck: Pending" in output


def test_the_node_listens_on_this_machine_alone(own_node: Node) -> None:
    assert listening_addresses(own_node.folder) == {"127.0.0.1"}


def test_the_kubelet_wants_to_know_who_asks(own_node: Node) -> None:
    kubelet = own_node.configuration().network.kubelet_port
    # The certificate is the node's own; here only the answer counts.
    with urllib3.PoolManager(cert_reqs="CERT_NONE", assert_hostname=False) as pool:
        urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)
        answer = pool.request("GET", f"https://127.0.0.1:{kubelet}/pods", retries=False)
    assert answer.status == 401


def test_the_audit_log_tells_how_often_who_asked_for_what(
    own_node: Node, audit_log: AuditLog, namespace: str, core_v1: Any
) -> None:
    mark = audit_log.position()
    for _ in range(3):
        core_v1.list_namespaced_secret(namespace)
    with pytest.raises(client.ApiException):
        core_v1.read_namespaced_secret("absent", namespace)

    about: dict[str, Any] = {"since": mark, "resource": "secrets", "namespace": namespace}
    assert audit_log.count(verb="list", user="admin", user_agent="python", **about) == 3
    assert audit_log.count(verb="get", name="absent", code=404, **about) == 1
    assert audit_log.count(verb="list", user="somebody", **about) == 0


def test_the_audit_log_counts_a_watch_once_it_has_begun(
    own_node: Node, audit_log: AuditLog, namespace: str, core_v1: Any
) -> None:
    mark = audit_log.position()
    watch: dict[str, Any] = {"since": mark, "verb": "watch", "namespace": namespace}
    stream = core_v1.list_namespaced_pod(namespace, watch=True, _preload_content=False)
    wait_for(lambda: audit_log.count(**watch), "the watch to be in the audit log")
    assert [request.ended for request in audit_log.requests(**watch)] == [False]
    stream.close()
    wait_for(lambda: audit_log.requests(**watch)[0].ended, "the watch's end")
    assert audit_log.count(**watch) == 1


def test_a_cut_connection_breaks_and_works_again_when_mended(
    cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    with FaultProxy(cluster.kubeconfig, tmp_path) as proxy, _client(proxy.kubeconfig) as api_client:
        core = client.CoreV1Api(api_client)
        stream = core.list_namespaced_pod(namespace, watch=True, _preload_content=False)
        ended = threading.Event()

        def read_to_the_end() -> None:
            try:
                stream.read()
            except urllib3.exceptions.HTTPError:
                pass
            finally:
                ended.set()

        reader = threading.Thread(target=read_to_the_end)
        reader.start()
        proxy.cut()
        assert ended.wait(5)
        reader.join()
        with pytest.raises(urllib3.exceptions.HTTPError, match="refused"):
            core.list_namespaced_pod(namespace)
        proxy.mend()
        assert core.list_namespaced_pod(namespace).items == []
        assert proxy.connections() == 1


def test_a_delayed_connection_is_slow(cluster: Cluster, namespace: str, tmp_path: Path) -> None:
    with FaultProxy(cluster.kubeconfig, tmp_path) as proxy, _client(proxy.kubeconfig) as api_client:
        core = client.CoreV1Api(api_client)
        core.list_namespaced_pod(namespace)
        proxy.delay = 0.2
        started = time.monotonic()
        core.list_namespaced_pod(namespace)
        assert time.monotonic() - started >= 0.4


def test_a_restricted_user_may_do_what_was_granted_and_no_more(
    cluster: Cluster, namespace: str, tmp_path: Path
) -> None:
    rules = [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list"]}]
    path = restricted_kubeconfig(cluster.kubeconfig, namespace, "reader", rules, tmp_path)
    with _client(path) as api_client:
        core = client.CoreV1Api(api_client)
        assert core.list_namespaced_pod(namespace).items == []
        with pytest.raises(client.ApiException) as refused:
            core.list_namespaced_secret(namespace)
    assert refused.value.status == 403


def test_a_paused_api_server_answers_when_it_is_resumed(own_node: Node, impatient: Any) -> None:
    own_node.pause_api_server()
    with pytest.raises(urllib3.exceptions.HTTPError, match="timed out"):
        impatient.list_namespace(_request_timeout=0.5)
    own_node.resume_api_server()
    assert impatient.list_namespace(_request_timeout=10).items


def test_the_api_server_stops_or_dies_and_starts_again_with_all_it_knew(
    own_node: Node, namespace: str, batch_v1: Any, impatient: Any
) -> None:
    _create_job(batch_v1, namespace, "survivor", SHELL_IMAGE, ["sleep", "2"])
    for end in (own_node.stop_api_server, own_node.kill_api_server):
        end()
        with pytest.raises(urllib3.exceptions.HTTPError, match="refused"):
            impatient.list_namespace()
        own_node.start_api_server()
    assert _outcome(batch_v1, namespace, "survivor") == "Complete"


def _client(kubeconfig: Path) -> Any:
    configuration = client.Configuration()
    config.load_kube_config(str(kubeconfig), client_configuration=configuration)
    # Without: urllib3 would try three times, and wait in between.
    configuration.retries = False
    return client.ApiClient(configuration)


def _create_job(batch: Any, namespace: str, name: str, image: str, command: list[str]) -> None:
    container = {"name": "flow", "image": image, "command": command}
    pod = {"restartPolicy": "Never", "containers": [container], "terminationGracePeriodSeconds": 1}
    spec = {"backoffLimit": 0, "template": {"spec": pod}}
    batch.create_namespaced_job(namespace, {"metadata": {"name": name}, "spec": spec})


def _outcome(batch: Any, namespace: str, name: str) -> str:
    def ended() -> str | None:
        conditions = batch.read_namespaced_job(name, namespace).status.conditions or []
        true = [item.type for item in conditions if item.status == "True"]
        return next((each for each in true if each in ("Complete", "Failed")), None)

    return wait_for(ended, f"the Job {name} to end", 60) or ""


def _up(folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen([*COMMAND, "up", str(folder)], cwd=CHECKOUT, text=True)


def _run(command: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, command, str(folder)],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def _pytest(folder: Path, test: str, *options: str, **environment: str) -> subprocess.Popen[str]:
    """Start a test run of its own, with one test file of the given text."""
    file = folder / "test_within.py"
    lines = test.splitlines()
    file.write_text("\n".join(line.removeprefix("        ") for line in lines))
    command = [
        *INTERRUPTIBLE,
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "tests.support.cluster",
        "-p",
        "tests.support.side_by_side",
        "-p",
        "no:cacheprovider",
        *options,
    ]
    command += ["-c", str(folder / "pytest.ini"), f"--rootdir={folder}", str(file)]
    (folder / "pytest.ini").write_text("[pytest]\n")
    return subprocess.Popen(
        command,
        cwd=CHECKOUT,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
