"""Job spec files as Helm, kustomize, kubectl and programs leave them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from flowjob.exceptions import JobSpecError
from flowjob.spec.job_spec import JobSpec
from flowjob.spec.yaml_file import YamlFile
from flowjob.spec.yaml_nodes import FASTEST, PythonLoader

JOB: dict[str, Any] = {
    "apiVersion": "batch/v1",
    "kind": "Job",
    "metadata": {"name": "report"},
    "spec": {"template": {"spec": {"containers": [{"name": "flow", "image": "flows:1"}]}}},
}
TEXT = "apiVersion: batch/v1\nkind: Job\nmetadata: {name: report}\n" + (
    "spec: {template: {spec: {containers: [{name: flow, image: 'flows:1'}]}}}\n"
)
OTHER = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: settings}\n"


@pytest.fixture(params=[FASTEST, PythonLoader], ids=["libyaml", "python"])
def loader(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.mark.parametrize(
    "text",
    [
        f"---\n# Source: account.yaml\n---\n# Source: job.yaml\n{TEXT}",
        f"---\n{TEXT}---\n",
        f"{TEXT}---\n---\n# The end.\n",
        f"{TEXT}...\n---\n",
    ],
)
def test_documents_with_nothing_in_them_are_nothing(text: str, loader: Any) -> None:
    assert YamlFile(text, "spec.yaml", loader).content == JOB


def test_lines_are_those_of_the_whole_file(loader: Any) -> None:
    file = YamlFile(f"---\n# one\n---\n# two\n{TEXT}", "spec.yaml", loader)
    assert file.where("kind") == "spec.yaml:6"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"{OTHER}---\n{TEXT}", "2 objects (ConfigMap in line 1, Job in line 5): keep the Job"),
        (f"{TEXT}---\n" * 7, "7 objects (Job in line 1, "),
        (f"{TEXT}---\nkind: {{a: b}}\n", "something in line 6"),
    ],
)
def test_a_file_with_other_objects_says_which_and_what_to_do(
    text: str, told: str, loader: Any
) -> None:
    with pytest.raises(JobSpecError) as refused:
        YamlFile(text, "spec.yaml", loader)
    assert told in str(refused.value)


def test_a_list_says_what_to_do() -> None:
    text = f"apiVersion: v1\nkind: List\nitems: [{json.dumps(JOB)}]\n"
    with pytest.raises(JobSpecError, match="a v1/List: take its Job out of the list"):
        JobSpec.from_text(text, "spec.yaml")


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(JOB),
        json.dumps(JOB, indent="\t"),
        json.dumps(JOB, indent=2),
        "\ufeff" + json.dumps(JOB),
        "\n\t" + json.dumps(JOB, indent="\t") + "\n",
    ],
)
def test_json_is_read_as_json(text: str, loader: Any) -> None:
    assert YamlFile(text, "spec.json", loader).content == JOB


@pytest.mark.parametrize("is_ascii", [True, False])
def test_what_json_writes_otherwise_than_yaml_is_read_as_json_means_it(
    loader: Any, is_ascii: bool
) -> None:
    words = ["\U0001f600", "a/b", "tab\there", 'quote"', "back\\slash", "\\ud83d", "\\/", "é", "\\"]
    # Line breaks to YAML.
    words += ["a\x85b", "a \u2028 b", "\u2029"]
    value = {"args": words, "numbers": [1, 1.5, -3, 1e3], "none": None, "yes": True}
    text = json.dumps(value, indent="\t", ensure_ascii=is_ascii).replace("a/b", "a\\/b")
    assert YamlFile(text, "spec.json", loader).content == json.loads(text)


def test_a_field_of_a_json_file_has_its_line(loader: Any) -> None:
    file = YamlFile(json.dumps(JOB, indent="\t"), "spec.json", loader)
    assert file.where("kind") == "spec.json:3"


def test_all_that_an_exported_job_has_to_lose_is_named_at_once() -> None:
    uid = {"batch.kubernetes.io/controller-uid": "1", "job-name": "report"}
    exported = json.loads(json.dumps(JOB))
    exported["metadata"] |= {"resourceVersion": "1", "uid": "1", "creationTimestamp": "now"}
    exported["spec"]["selector"] = {"matchLabels": uid}
    exported["spec"]["template"]["metadata"] = {"labels": uid | {"app": "report"}}
    exported["status"] = {"succeeded": 1}
    with pytest.raises(JobSpecError) as refused:
        JobSpec.from_text(json.dumps(exported), "spec.json")
    assert str(refused.value).endswith(
        "remove metadata.creationTimestamp, metadata.resourceVersion, metadata.uid, spec.selector, "
        "status, spec.template.metadata.labels[batch.kubernetes.io/controller-uid], "
        "spec.template.metadata.labels[job-name]"
    )


def test_a_selector_of_ones_own_stays() -> None:
    own = json.loads(json.dumps(JOB))
    own["spec"] |= {"manualSelector": True, "selector": {"matchLabels": {"a": "b"}}}
    JobSpec.from_text(json.dumps(own), "spec.json")
