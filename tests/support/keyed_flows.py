"""Flow runs that have a key, without Airflow."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass

from flowjob.flow_run import FlowRun
from flowjob.flows.base import Flow, FlowCommand, FlowRequest
from flowjob.kubernetes_object import KubernetesObject
from flowjob.launch.execution import Execution
from flowjob.launch.manifest import JobArguments, Manifests, make_manifests
from flowjob.spec.job_spec import JobSpec
from tests.support.cluster import Cluster
from tests.support.flow_runs import SPEC, FlowRuns

KEY = "key-marker-31f0"


@dataclass
class Keyed(Flow):
    """A flow with a key."""

    script: str

    def command(self, request: FlowRequest) -> FlowCommand:
        return FlowCommand(["sh", "-c", self.script], [], secrets={"KEY": KEY})


class Launches:
    """Launches flow runs that have a key, in one namespace.

    `execution` is that of the last one.
    """

    def __init__(self, runs: FlowRuns, cluster: Cluster, namespace: str) -> None:
        self.runs, self._cluster, self._namespace = runs, cluster, namespace
        self.execution = Execution(runs.cluster)

    def manifests(
        self, flow_run: FlowRun, script: str = 'echo "key $KEY"', spec: str = SPEC
    ) -> Manifests:
        """Return the Job and the Secret of a flow that is a shell script."""
        return make_manifests(
            flow_run,
            JobSpec.from_text(spec, "spec"),
            JobArguments(self._cluster.shell_image, Keyed(script), namespace=self._namespace),
            airflow_variables={},
            cluster_namespace=None,
            connection=None,
        )

    def start(self, flow_run: FlowRun, made: Manifests | None = None) -> Future[KubernetesObject]:
        """Have a worker launch it."""
        made = made or self.manifests(flow_run)
        self.execution = Execution(self.runs.cluster)
        return self.runs.loop.start(
            self.execution.launch(flow_run, made.job, 5, secret=made.secret)
        )

    def launch(self, flow_run: FlowRun, made: Manifests | None = None) -> KubernetesObject:
        """Launch it, and return its Job."""
        return self.start(flow_run, made).result(60)
