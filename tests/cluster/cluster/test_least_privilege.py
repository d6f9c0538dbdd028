"""The role that the docs give is enough, and no right in it is for nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from flowjob.exceptions import JobRefusedError
from flowjob.flow_run import FLOW_RUN_ID_LABEL, TaskInstanceKey
from tests.support.access import restricted_kubeconfig
from tests.support.audit import AuditLog
from tests.support.cluster import Cluster
from tests.support.flow_runs import SPEC, FlowRuns, connect, new_flow_run
from tests.support.keyed_flows import Launches
from tests.support.wait import wait_for

RBAC = Path(__file__).parents[3] / "deploy" / "rbac"


def rules_of(file: str) -> list[dict[str, Any]]:
    role, *_ = yaml.safe_load_all((RBAC / file).read_text())
    rules: list[dict[str, Any]] = role["rules"]
    return rules


def rules_of_docs() -> list[dict[str, Any]]:
    return rules_of("worker.yaml")


def rule_of_docs_for_keys() -> list[dict[str, Any]]:
    """Return the rule that only a flow needs which has a key."""
    return rules_of("secrets/role.yaml")


def requested(audit_log: AuditLog, **own: Any) -> set[tuple[str, str]]:
    return {
        (f"{each.resource}/{each.subresource}".rstrip("/"), each.verb)
        for each in audit_log.requests(**own)
    }


def granted(rules: list[dict[str, Any]]) -> set[tuple[str, str]]:
    return {
        (resource, verb)
        for rule in rules
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def test_the_role_of_the_docs_is_enough_for_a_flow_run_and_its_kill(
    cluster: Cluster,
    namespace: str,
    audit_log: AuditLog,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rules = rules_of_docs()
    path = restricted_kubeconfig(cluster.kubeconfig, namespace, "flowjob", rules, tmp_path)
    mark = audit_log.position()
    with FlowRuns(connect(path, monkeypatch, "least"), namespace, cluster.shell_image) as runs:
        assert runs.run("echo ran; echo '[1]' > /dev/termination-log").status == "succeeded"
        assert runs.lines == ["ran"]
        # As each launch does, for the Jobs of earlier tries.
        assert runs.loop.run(runs.cluster.list_jobs(namespace, FLOW_RUN_ID_LABEL))
        killed = runs.create(runs.manifest("sleep 600"))
        assert runs.loop.run(runs.cluster.delete_job(killed))
        image = runs.manifest("true")
        image["spec"]["template"]["spec"]["containers"][0]["image"] = "local/none:1"
        outcome = runs.wait(runs.create(image), startup_timeout=5)
        assert "image" in str(outcome.message)
    own: dict[str, Any] = {"since": mark, "namespace": namespace, "user_agent": "flowjob/"}
    assert audit_log.count(code=403, **own) == 0
    wait_for(lambda: ("jobs", "delete") in requested(audit_log, **own), "the audit log")
    # A pod is read by its name where its log breaks off, a Job where its labels were changed; and
    # there is no queue here.
    unused = granted(rules) - requested(audit_log, **own)
    assert unused <= {
        ("pods", "get"),
        ("jobs", "get"),
        ("events", "list"),
        ("workloads", "list"),
    }


def test_the_rule_of_the_docs_for_secrets_is_enough_for_a_flow_with_a_key(
    cluster: Cluster,
    namespace: str,
    audit_log: AuditLog,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keyed = rule_of_docs_for_keys()
    rules = [*rules_of_docs(), *keyed]
    path = restricted_kubeconfig(cluster.kubeconfig, namespace, "keyed", rules, tmp_path)
    mark = audit_log.position()
    with FlowRuns(connect(path, monkeypatch, "keyed"), namespace, cluster.shell_image) as runs:
        launches = Launches(runs, cluster, namespace)
        assert runs.wait(launches.launch(new_flow_run())).status == "succeeded"
        flow_run = replace(new_flow_run(), task_instance=TaskInstanceKey("dag", "run", "refused"))
        refused = SPEC.replace("backoffLimit: 0", "backoffLimit: -1")
        with pytest.raises(JobRefusedError):
            launches.launch(flow_run, launches.manifests(flow_run, spec=refused))
    own: dict[str, Any] = {"since": mark, "namespace": namespace, "user_agent": "flowjob/"}
    assert audit_log.count(code=403, **own) == 0
    assert granted(keyed) <= requested(audit_log, **own)
