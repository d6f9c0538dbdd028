"""What ``container_overrides`` make of the job spec's first container, and of nothing else."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowjob.exceptions import JobRefusedError, JobSpecError
from flowjob.spec.job_spec import FlowContainer, JobSpec
from flowjob.spec.overrides import merged
from tests.support.flow_runs import new_flow_run

SPEC = """
apiVersion: batch/v1
kind: Job
metadata: {name: sales}
spec:
  template:
    spec:
      containers:
        - name: flow
          image: flows:1
          imagePullPolicy: Always
          resources:
            limits: {cpu: "1", memory: 64Mi}
            requests: {memory: 32Mi}
          volumeMounts: [{name: a, mountPath: /a}]
        - name: proxy
          image: proxy:1
"""


def containers_with(overrides: dict[str, Any]) -> list[dict[str, Any]]:
    spec = JobSpec.from_text(SPEC, "job.yaml").with_overrides(overrides)
    ours = FlowContainer(None, None, None, {})
    job = spec.for_flow_run(new_flow_run(), ours, namespace="team", name=None)
    containers: list[dict[str, Any]] = job["spec"]["template"]["spec"]["containers"]
    return containers


def test_a_form_or_a_retry_asks_for_more_memory_and_all_else_stays() -> None:
    without, _ = containers_with({})
    flow, proxy = containers_with({"resources": {"limits": {"memory": "128Mi"}}})
    assert flow["resources"]["limits"] == {"cpu": "1", "memory": "128Mi"}
    flow["resources"]["limits"]["memory"] = "64Mi"
    assert flow == without
    assert proxy == {"name": "proxy", "image": "proxy:1"}


def test_lists_are_replaced_and_none_removes_a_field() -> None:
    flow, _ = containers_with(
        {"volumeMounts": [], "imagePullPolicy": None, "resources": {"requests": None}, "tty": True}
    )
    assert (flow["volumeMounts"], flow["tty"]) == ([], True)
    assert "imagePullPolicy" not in flow
    assert list(flow["resources"]) == ["limits"]


def test_a_result_is_written_to_where_the_overrides_say() -> None:
    spec = JobSpec.from_text(SPEC, "job.yaml")
    overridden = spec.with_overrides({"terminationMessagePath": "/tmp/result"})
    assert overridden.result_path == "/tmp/result"
    assert spec.result_path == "/dev/termination-log"


@pytest.mark.parametrize(
    ("field", "instead"),
    [
        ("name", "it stays as the job spec has it"),
        ("image", "give the task an image"),
        ("command", "give the task a flow"),
        ("args", "give the task a flow"),
        ("env", "give the task an env"),
    ],
)
def test_what_a_flow_run_sets_is_refused_with_where_it_belongs(field: str, instead: str) -> None:
    told = f"container_overrides has the field '{field}': {instead}"
    with pytest.raises(JobSpecError, match=f"^{told}$"):
        containers_with({field: "s3cret"})


@pytest.mark.parametrize("overrides", ["s3cret", ["s3cret"], None])
def test_what_is_no_mapping_is_refused_and_not_repeated(overrides: Any) -> None:
    with pytest.raises(JobSpecError, match="give a mapping of fields") as refused:
        containers_with(overrides)
    assert "s3cret" not in str(refused.value)


def test_what_json_does_not_have_is_refused() -> None:
    with pytest.raises(JobSpecError, match=r"^container_overrides: .*resources: JSON has no set"):
        containers_with({"resources": {1, 2}})


def test_a_field_that_the_api_server_refuses_is_told_with_where_it_came_from() -> None:
    spec = JobSpec.from_text(SPEC, "job.yaml").with_overrides({"resourcs": {"limits": {}}})
    first = "spec.template.spec.containers[0]"
    ours = JobRefusedError("no", [f"{first}.resourcs.limits"])
    theirs = JobRefusedError("no", [f"{first}.imagePullPolicy"])
    assert str(spec.locate(ours)) == "no (container_overrides)"
    assert str(spec.locate(theirs)) == "no (job.yaml:11)"


JSON = st.recursive(
    st.integers() | st.text(),
    lambda child: st.lists(child) | st.dictionaries(st.text(max_size=2), child),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=2), JSON), st.dictionaries(st.text(max_size=2), JSON))
def test_what_is_overridden_is_there_and_what_was_there_is_not_changed(
    container: dict[str, Any], overrides: dict[str, Any]
) -> None:
    before = copy.deepcopy(container)
    result = merged(container, overrides)
    assert container == before
    assert result.keys() == container.keys() | overrides.keys()
    assert merged(result, overrides) == result
    assert merged(container, {}) == container
