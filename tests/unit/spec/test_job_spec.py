"""A user's Job spec: loaded and checked, and untouched but for what DESIGN lists."""

from __future__ import annotations

import copy
import time
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from flowjob.exceptions import JobSpecError
from flowjob.spec.job_spec import FlowContainer, JobSpec
from flowjob.spec.yaml_file import YamlFile
from tests.unit.test_flow_run import FLOW_RUN

SPEC = """\
apiVersion: batch/v1
kind: Job
metadata:
  name: report
  annotations: {owner: data}
  labels:
    identifier: ""
    team: data
spec:
  backoffLimit: 0
  someFieldOfTomorrow: {kept: true}
  template:
    spec:
      containers:
        - name: flow-container
          image: ""
          env:
            - name: MY_ENV
              value: foo
            - name: FROM_SECRET
              valueFrom: {secretKeyRef: {name: s, key: k}}
          resources: {limits: {cpu: "2"}}
        - name: proxy
          image: proxy:1
          env:
            - name: MY_ENV
              value: proxy's
"""
CONTAINER = FlowContainer(
    image="flows:1", command=["python3"], args=["-V"], env={"MY_ENV": "bar", "NEW": "1"}
)


def load(text: str) -> JobSpec:
    return JobSpec.from_text(text, "spec.yaml")


def manifest(text: str, container: FlowContainer = CONTAINER) -> dict[str, Any]:
    return load(text).for_flow_run(FLOW_RUN, container, namespace="flows", name=None)


def test_only_what_design_lists_differs_from_the_file() -> None:
    job = manifest(SPEC)
    first, second = job["spec"]["template"]["spec"]["containers"]
    assert job["spec"]["someFieldOfTomorrow"] == {"kept": True}
    assert job["spec"]["template"]["spec"]["restartPolicy"] == "Never"
    assert job["metadata"]["name"] == "report-9b3c5d4e6f708192"
    assert job["metadata"]["namespace"] == "flows"
    assert job["metadata"]["labels"] == {"team": "data", **FLOW_RUN.labels}
    assert job["metadata"]["annotations"] == {"owner": "data", **FLOW_RUN.annotations}
    assert job["spec"]["template"]["metadata"] == {"labels": FLOW_RUN.labels}
    assert first == {
        "name": "flow-container",
        "image": "flows:1",
        "command": ["python3"],
        "args": ["-V"],
        "env": [
            {"name": "MY_ENV", "value": "bar"},
            {"name": "NEW", "value": "1"},
            {"name": "FROM_SECRET", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
        ],
        "resources": {"limits": {"cpu": "2"}},
    }
    assert second == {
        "name": "proxy",
        "image": "proxy:1",
        "env": [{"name": "MY_ENV", "value": "proxy's"}],
    }


def test_what_was_loaded_serves_the_next_flow_run_unchanged() -> None:
    spec = load(SPEC)
    first = spec.for_flow_run(FLOW_RUN, CONTAINER, namespace="a", name=None)
    expected = copy.deepcopy(first)
    first["spec"]["template"]["spec"]["containers"].clear()
    first["metadata"]["labels"].clear()
    assert spec.for_flow_run(FLOW_RUN, CONTAINER, namespace="a", name=None) == expected


def test_a_dict_of_the_users_is_never_changed() -> None:
    given = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "spec": {"template": {"spec": {"containers": [{"name": "flow"}]}}},
    }
    before = copy.deepcopy(given)
    JobSpec.from_dict(given).for_flow_run(FLOW_RUN, CONTAINER, namespace="a", name="x")
    assert given == before


def test_a_spec_flow_keeps_image_command_and_args() -> None:
    text = SPEC.replace(
        'image: ""', 'image: "own:1"\n          command: [run]\n          args: [a]'
    )
    first = manifest(text, FlowContainer(None, None, None, {}))["spec"]["template"]["spec"][
        "containers"
    ][0]
    assert (first["image"], first["command"], first["args"]) == ("own:1", ["run"], ["a"])


def test_the_users_restart_policy_stays() -> None:
    text = SPEC.replace("      containers:", "      restartPolicy: OnFailure\n      containers:")
    assert manifest(text)["spec"]["template"]["spec"]["restartPolicy"] == "OnFailure"


def test_generate_name_gives_way_to_the_name_that_is_the_lock() -> None:
    metadata = manifest(SPEC.replace("name: report", "generateName: report-"))["metadata"]
    assert metadata["name"].startswith("report-")
    assert "generateName" not in metadata


@pytest.mark.parametrize(
    ("completions", "longest"), [("", 61), ("completions: 10", 61), ("completions: 101", 59)]
)
def test_an_indexed_job_leaves_room_for_the_index_in_its_pods_names(
    completions: str, longest: int
) -> None:
    text = SPEC.replace("backoffLimit: 0", f"completionMode: Indexed\n  {completions}")
    text = text.replace("name: report", "name: " + "r" * 80)
    assert len(manifest(text)["metadata"]["name"]) == longest


def test_empty_metadata_is_filled() -> None:
    job = manifest(SPEC.replace('labels:\n    identifier: ""\n    team: data', "labels:"))
    assert job["metadata"]["labels"] == FLOW_RUN.labels


def test_a_job_without_labels_gets_its_pods_labels_as_kubernetes_would_give_it() -> None:
    text = SPEC.replace('labels:\n    identifier: ""\n    team: data', "labels: {}")
    text = text.replace("  template:\n", "  template:\n    metadata: {labels: {app: report}}\n")
    assert manifest(text)["metadata"]["labels"] == {"app": "report", **FLOW_RUN.labels}


def test_yaml_is_read_as_kubectl_reads_it() -> None:
    job = manifest(SPEC.replace("owner: data", "day: 2026-01-01, time: 2026-01-01 10:00:00"))
    assert job["metadata"]["annotations"]["day"] == "2026-01-01"
    assert job["metadata"]["annotations"]["time"] == "2026-01-01 10:00:00"


def test_a_merge_key_may_be_overridden() -> None:
    text = SPEC.replace(
        'resources: {limits: {cpu: "2"}}',
        'resources: &r {limits: {cpu: "2"}}\n'
        '        - {name: other, resources: {<<: *r, limits: {cpu: "1"}}}',
    )
    containers = manifest(text)["spec"]["template"]["spec"]["containers"]
    assert containers[1]["resources"] == {"limits": {"cpu": "1"}}


def test_a_merge_key_that_the_api_server_would_let_win_is_refused() -> None:
    text = SPEC.replace(
        'resources: {limits: {cpu: "2"}}',
        'resources: &r {limits: {cpu: "2"}}\n'
        '        - {name: other, resources: {limits: {cpu: "1"}, <<: *r}}',
    )
    with pytest.raises(JobSpecError, match=r"spec\.yaml:23.*put << first"):
        load(text)
    assert load(text.replace('limits: {cpu: "1"}, <<', "claims: [], <<"))


def test_what_an_alias_puts_into_two_places_differs_where_a_flow_run_writes() -> None:
    text = SPEC.replace("  annotations: {owner: data}\n", "").replace(
        "    team: data\n", "    team: data\n  annotations: *labels\n"
    )
    text = text.replace("labels:", "labels: &labels").replace(
        "- name: flow-container", "- &flow\n          name: flow-container"
    )
    job = manifest(text + "        - *flow\n")
    own = {"identifier": "", "team": "data"}
    assert job["metadata"]["labels"] == {**own, **FLOW_RUN.labels}
    assert job["metadata"]["annotations"] == {**own, **FLOW_RUN.annotations}
    first, _, third = job["spec"]["template"]["spec"]["containers"]
    assert (first["image"], third["image"]) == ("flows:1", "")


def test_a_dict_that_stands_in_two_places_differs_where_a_flow_run_writes() -> None:
    team = {"team": "data"}
    given = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"labels": team, "annotations": team},
        "spec": {"template": {"spec": {"containers": [{"name": "flow"}] * 2}}},
    }
    job = JobSpec.from_dict(given).for_flow_run(FLOW_RUN, CONTAINER, namespace="a", name="x")
    assert job["metadata"]["labels"] == {**team, **FLOW_RUN.labels}
    assert job["metadata"]["annotations"] == {**team, **FLOW_RUN.annotations}
    assert job["spec"]["template"]["spec"]["containers"][1] == {"name": "flow"}


def test_an_empty_restart_policy_is_none() -> None:
    text = SPEC.replace("      containers:", "      restartPolicy:\n      containers:")
    assert manifest(text)["spec"]["template"]["spec"]["restartPolicy"] == "Never"


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"name": date(2026, 1, 1)}, "job_spec: metadata.name: JSON has no date"),
        ({"labels": {1: "x"}}, "job_spec: metadata.labels: a key is no string: write it in quotes"),
        ({"uid": float("nan")}, "metadata.uid: JSON has no number nan"),
        ({"uid": 10**30}, "metadata.uid: the number has too many digits"),
        ({"uid": "\ud800"}, "metadata.uid: half of a surrogate pair is no text"),
        ({"labels": {"a\nb": 1}}, r"'metadata.labels.a\nb' is no string"),
        ({"name": 5}, "metadata.name is no string: write it in quotes"),
    ],
)
def test_what_json_does_not_have_is_refused_when_the_dag_is_parsed(
    value: dict[str, Any], message: str
) -> None:
    given = {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": value,
        "spec": {"template": {"spec": {"containers": [{"name": "flow"}]}}},
    }
    with pytest.raises(JobSpecError) as raised:
        JobSpec.from_dict(given)
    assert message in str(raised.value)


# What the API server makes of them; tests/cluster/spec/test_job_spec_oracle.py asks it.
@pytest.mark.parametrize(
    ("written", "meant"),
    [
        *((word, word) for word in ("1:30", "190:20:30.15", "=", "<<", "yEs", "1e400", "0o19")),
        *((word, word) for word in ("2026-01-01", "_1", "._5", "1.2.3", "0x1p4", "inf")),
        *((word, True) for word in ("y", "Y", "on", "True")),
        *((word, False) for word in ("n", "N", "off", "FALSE")),
        *((word, None) for word in ("~", "null", "")),
        *(("1e3", 1000), ("1.5E+3", 1500), ("5.", 5), ("1_000", 1000), (".5", 0.5), ("-0.0", 0)),
        *(("0o12", 10), ("012", 10), ("089", 89), ("0XfF", 255), ("-0B101", -5)),
        *(
            (str(2**64 - 1), 2**64 - 1),
            (str(-(2**63)), -(2**63)),
            (str(2**64), 18446744073709552000),
        ),
    ],
)
def test_a_value_without_quotes_is_what_the_api_server_takes_it_for(
    written: str, meant: object
) -> None:
    content = YamlFile(f"a: {written}", "x").content
    assert (content["a"], type(content["a"])) == (meant, type(meant))


@pytest.mark.parametrize(("containers", "limit"), [(1, 4096), (3, 4096), (4, 3072), (10, 1228)])
def test_the_results_limit_is_what_the_kubelet_keeps(containers: int, limit: int) -> None:
    more = "".join(f"        - {{name: c{number}, image: i}}\n" for number in range(containers - 2))
    assert (
        load(SPEC + more if containers > 1 else SPEC.split("        - name: proxy")[0]).result_limit
        == limit
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("kind: Job", "kind: CronJob", "spec.yaml:2: the job spec is a batch/v1/CronJob"),
        ("batch/v1", "v1", "spec.yaml:2: the job spec is a v1/Job"),
        ("backoffLimit: 0", "backoffLimit: 0\n  backoffLimit: 1", "spec.yaml:11"),
        ("  name: report", "  name: report\n---\nkind: Job", "spec.yaml"),
        ("      containers:", "      containers:\n      others:", "spec.yaml:14: spec.template"),
        ("- name: flow-container", "- noname: x", "spec.yaml:15: spec.template.spec.containers[0]"),
        (
            "env:\n            - name: MY_ENV\n",
            "env:\n            MY_ENV: 1\n            x:\n",
            "spec.yaml",
        ),
        ("  name: report", "\tname: report", "spec.yaml:4"),
        ("labels:", "labels: 1\n  x:", "spec.yaml:6: metadata.labels"),
        ("value: foo", "value: {{ foo }}", "spec.yaml:19 is no YAML"),
        ("value: foo", "value: {{ foo }}", "(it is Jinja, and a job spec is not templated"),
        ("backoffLimit: 0", "{% if x %}", "(it is Jinja, and a job spec is not templated"),
        ("kind: Job", "kind: Pod", "put its spec below spec.template of a Job"),
        ("kind: Job", "kind: CronJob", "take its spec.jobTemplate"),
        ("team: data", "team: 7", "spec.yaml:8: metadata.labels.team is no string: write it in"),
        ("owner: data", "on: data", "the key 'on' is no string; write it in quotes"),
        ("value: foo", "value: 1", "containers[0].env[0].value is no string: write it in quotes"),
        ("value: foo", "value: yes", "containers[0].env[0].value is no string"),
        (
            "- name: flow-container",
            "- name: f\n          command: 'true'",
            "command must be a list",
        ),
        ("- name: flow-container", "- name: f\n          args: [1]", "args[0] is no string"),
        (
            "backoffLimit: 0",
            "backoffLimit: .nan",
            "spec.yaml:10: spec.backoffLimit: JSON has no number nan",
        ),
        (
            "backoffLimit: 0",
            "backoffLimit: !!binary aGk=",
            "JSON has no tag '!!binary': write the value without it",
        ),
        ("backoffLimit: 0", "backoffLimit: ! 1", "JSON has no tag '!': write the value without it"),
        ("backoffLimit: 0", "completions: two", "spec.completions is no whole number"),
        ("name: report", "name: 1e3", "metadata.name is no string: write it in quotes"),
        (
            "name: report",
            'name: "\\ud800"',
            "spec.yaml:4 is no YAML: found invalid Unicode character escape code",
        ),
        ("  name: report", "\ufeff  name: report", "spec.yaml:4 is no YAML: the character U+FEFF"),
        ("team: data", "team: \ud800", "spec.yaml:8 is no YAML: the character U+D800 stands in no"),
        ("- name: flow-container", "- name: {a: b}", "containers[0].name is no string"),
        ("- name: proxy", "- name: 5", "containers[1].name is no string: write it in quotes"),
        ("name: report", "name: \x07", "spec.yaml:4 is no YAML: the character U+0007 stands in no"),
        ("name: report", "{}: report", "spec.yaml:4 is no YAML: a key is no string but a list or"),
        ('image: ""', "image: 1.10", "containers[0].image is no string: write it in quotes"),
        ("name: MY_ENV", "name: y", "containers[0].env[0].name is no string: write it in quotes"),
        ("kind: Job", "kind: {secret: value}", "spec.yaml:2: the job spec is a batch/v1/(dict)"),
        ("team: data", "a[x]: 1", "spec.yaml:6: metadata.labels.a[x] is no string"),
        ("backoffLimit: 0", "backoffLimit: &a [*a]", "an alias stands within what it stands for"),
    ],
)
def test_a_bad_spec_is_told_by_file_line_and_field(old: str, new: str, message: str) -> None:
    assert old in SPEC
    with pytest.raises(JobSpecError) as raised:
        load(SPEC.replace(old, new, 1))
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("text", ["", "# nothing", "[]", "text", "{}", "a: !!python/none x"])
def test_what_is_no_job_at_all_is_refused(text: str) -> None:
    with pytest.raises(JobSpecError):
        load(text)


def test_a_bomb_of_aliases_is_refused_at_once() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    started = time.monotonic()
    with pytest.raises(JobSpecError, match="more than 100000 values, aliases expanded"):
        load("\n".join(lines))
    assert time.monotonic() - started < 5


def test_a_file_larger_than_kubernetes_takes_is_refused() -> None:
    with pytest.raises(JobSpecError, match="is larger than Kubernetes takes: 1 MiB"):
        load(SPEC + "#" * 2**20)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "latin.yaml").write_bytes(b"\xe9")
    for path in (tmp_path / "missing.yaml", tmp_path, tmp_path / "latin.yaml"):
        with pytest.raises(JobSpecError, match=str(path)):
            JobSpec.from_file(path)
