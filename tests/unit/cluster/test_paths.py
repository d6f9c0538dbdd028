"""Where the API server is asked."""

from __future__ import annotations

from flowjob.cluster.paths import job_path, jobs_path, pod_path


def test_the_jobs_of_one_namespace_are_asked_for_apart_from_those_of_all() -> None:
    assert jobs_path("flows") == "/apis/batch/v1/namespaces/flows/jobs"
    assert jobs_path(None) == "/apis/batch/v1/jobs"


def test_one_object_is_asked_for_below_its_collection() -> None:
    assert job_path("flows", "sales") == "/apis/batch/v1/namespaces/flows/jobs/sales"
    pod = {"metadata": {"namespace": "flows", "name": "sales-a"}}
    assert pod_path(pod) == "/api/v1/namespaces/flows/pods/sales-a"
