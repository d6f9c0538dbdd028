"""What a flow run that another system knows, too, adds to its Job."""

from __future__ import annotations

import pytest

from flowjob.flow_run import REMOTE_RUN, annotation
from flowjob.flows import PrefectDeployment
from flowjob.flows.base import FlowConnection
from flowjob.kubernetes_object import KubernetesObject
from flowjob.launch.manifest import JobArguments, Manifests, make_manifests
from flowjob.remote_run import REST, RemoteRun
from flowjob.spec.job_spec import JobSpec
from tests.support.flow_runs import SPEC, new_flow_run

RUN = RemoteRun(REST, "prefect_default", "prefects-id", "https://prefect/prefects-id")


def manifests(run: RemoteRun | None) -> Manifests:
    return make_manifests(
        new_flow_run(),
        JobSpec.from_text(SPEC, "spec"),
        JobArguments("flows:1", PrefectDeployment("sales/EU")),
        airflow_variables={},
        cluster_namespace=None,
        connection=FlowConnection("http://prefect:4200", "key-77"),
        remote_run=run,
    )


def manifest(run: RemoteRun | None) -> KubernetesObject:
    return manifests(run).job


def test_a_job_says_which_flow_run_of_prefects_it_is_and_no_secret() -> None:
    made = manifests(RUN)
    assert RemoteRun.from_text(annotation(made.job, REMOTE_RUN)) == RUN
    assert "key-77" not in str(made.job)
    assert made.secret is not None
    assert made.secret["stringData"] == {"PREFECT_API_KEY": "key-77"}


@pytest.mark.parametrize("place", ["Job", "pods"])
def test_a_job_and_its_pods_are_found_by_prefects_labels(place: str) -> None:
    job = manifest(RUN)
    labels = (job if place == "Job" else job["spec"]["template"])["metadata"]["labels"]
    assert labels["prefect.io/flow-run-id"] == "prefects-id"


def test_a_job_that_is_only_shown_needs_no_flow_run_in_prefect() -> None:
    assert annotation(manifest(None), REMOTE_RUN) is None
