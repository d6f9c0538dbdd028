"""What is secret stands in a Secret, and not in the Job."""

from __future__ import annotations

import json
from typing import Any

import pytest

from flowjob.flows import PrefectCloudFlow
from flowjob.flows.base import FlowConnection
from flowjob.kubernetes_object import flow_container
from flowjob.launch.manifest import JobArguments, Manifests, make_manifests
from flowjob.launch.secret import owned
from flowjob.spec.job_spec import JobSpec
from tests.unit.test_flow_run import FLOW_RUN

KEY = "pnu_k3y$(HOME)"
API_KEY, AUTH_TOKEN = "PREFECT__CLOUD__API_KEY", "PREFECT__CLOUD__AUTH_TOKEN"
ELSEWHERE = {"secretKeyRef": {"name": "prefect", "key": "key"}}


def manifests(
    flow: Any = None, env: dict[str, Any] | None = None, given: Any = (), key: str = KEY
) -> Manifests:
    container = {"name": "flow", "image": "flows:1", "env": list(given)}
    spec = {"template": {"spec": {"containers": [container]}}}
    metadata = {"name": "sales", "labels": {"team": "data"}}
    return make_manifests(
        FLOW_RUN,
        JobSpec.from_dict(
            {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": spec}
        ),
        JobArguments(flow=flow or PrefectCloudFlow(), env=env or {}, namespace="flows"),
        airflow_variables={},
        cluster_namespace=None,
        connection=FlowConnection("https://prefect", key),
    )


def variables(made: Manifests) -> dict[str, Any]:
    container = flow_container(made.job["spec"]["template"]["spec"])
    return {each["name"]: each.get("valueFrom", each.get("value")) for each in container["env"]}


def test_a_key_stands_in_the_secret_alone_and_its_variables_refer_to_that() -> None:
    made = manifests()
    name = made.job["metadata"]["name"]
    assert made.secret is not None
    assert (made.secret["kind"], made.secret["metadata"]["name"]) == ("Secret", name)
    assert made.secret["metadata"]["namespace"] == "flows"
    # As it is: the kubelet expands nothing in what comes from a Secret.
    assert made.secret["stringData"] == {API_KEY: KEY, AUTH_TOKEN: KEY}
    assert variables(made)[API_KEY] == {"secretKeyRef": {"name": name, "key": API_KEY}}
    assert variables(made)[AUTH_TOKEN] == {"secretKeyRef": {"name": name, "key": AUTH_TOKEN}}
    assert "k3y" not in json.dumps(made.job)
    assert "k3y" not in repr(made)


def test_the_sweep_can_tell_whose_a_secret_is_as_it_can_of_a_job() -> None:
    made = manifests()
    assert made.secret is not None
    assert made.secret["metadata"]["labels"] == FLOW_RUN.labels
    assert made.secret["metadata"]["annotations"] == FLOW_RUN.annotations


@pytest.mark.parametrize(
    "case",
    [
        {"given": [{"name": name, "valueFrom": ELSEWHERE} for name in (API_KEY, AUTH_TOKEN)]},
        {"env": {API_KEY: ELSEWHERE, AUTH_TOKEN: "plain"}},
        {"flow": PrefectCloudFlow(api_key_secret="prefect/key")},
        {"flow": ["true"]},
        {"key": ""},
    ],
    ids=["the spec has it", "the user has it", "a secret is named", "no key", "none is set"],
)
def test_no_secret_is_made_where_the_key_comes_from_elsewhere(case: dict[str, Any]) -> None:
    made = manifests(**case)
    assert made.secret is None
    assert "k3y" not in json.dumps(made.job)


def test_a_secret_has_no_more_than_what_is_taken_from_it() -> None:
    made = manifests(given=[{"name": API_KEY, "valueFrom": ELSEWHERE}])
    assert variables(made)[API_KEY] == ELSEWHERE
    assert made.secret is not None
    assert list(made.secret["stringData"]) == [AUTH_TOKEN]


def test_a_secret_that_is_made_anew_for_its_job_goes_with_it() -> None:
    made = manifests()
    assert made.secret is not None
    secret = owned(made.secret, {**made.job, "metadata": {**made.job["metadata"], "uid": "u"}})
    (owner,) = secret["metadata"]["ownerReferences"]
    assert owner == {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "name": made.job["metadata"]["name"],
        "uid": "u",
    }
    assert "ownerReferences" not in made.secret["metadata"]
