"""What a flow really finds in its environment, after the kubelet's own part."""

from __future__ import annotations

from typing import Any

from flowjob.flow_run import FlowRun
from flowjob.launch.manifest import JobArguments, make_manifests
from flowjob.spec.job_spec import JobSpec
from tests.support.cluster import Cluster
from tests.support.flow_runs import SPEC, FlowRuns, new_flow_run

VARIABLES = """
      containers:
      - name: flow-container
        env:
        - {name: OUT, value: "spec"}
        - {name: URL, value: "https://runs/$(FLOW_RUN_ID)"}
        - {name: REGION, value: eu}
        - {name: PART, value: "$(DAY)/part"}
        - name: KEY
          valueFrom: {secretKeyRef: {name: flows, key: key}}
"""


def test_variables_refer_to_one_another_and_come_from_secrets(
    flow_runs: FlowRuns, cluster: Cluster, core_v1: Any, namespace: str
) -> None:
    core_v1.create_namespaced_secret(
        namespace, {"metadata": {"name": "flows"}, "stringData": {"key": "k", "other": "o"}}
    )
    flow_run: FlowRun = new_flow_run()
    text = SPEC.replace("      containers: [{name: flow-container}]\n", VARIABLES.lstrip("\n"))
    manifests = make_manifests(
        flow_run,
        JobSpec.from_text(text, "spec"),
        JobArguments(
            cluster.shell_image,
            ["sh", "-c", 'echo "$OUT $URL $PART $KEY $OTHER"'],
            env={
                "OUT": "$(REGION)/$(DAY)",
                "DAY": "monday",
                "OTHER": {"secretKeyRef": {"name": "flows", "key": "other"}},
            },
            namespace=namespace,
        ),
        airflow_variables={},
        cluster_namespace=None,
        connection=None,
    )
    assert flow_runs.wait(flow_runs.create(manifests.job)).status == "succeeded"
    assert flow_runs.lines == [f"eu/monday https://runs/{flow_run.flow_run_id} monday/part k o"]
