"""A Job of ours is that of the real ``KubernetesJobEnvironment``, but for what is meant.

The job specs are the reference's, and generated ones.
"""

from __future__ import annotations

import ast
import json
import random
import re
import subprocess
from collections import Counter
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
import yaml

from flowjob.flow_run import FlowRun
from flowjob.flows import PrefectCloudFlow
from flowjob.flows.base import FlowConnection
from flowjob.launch.manifest import JobArguments, make_manifests
from flowjob.spec.job_spec import JobSpec
from tests.support.differences import differences
from tests.support.flow_runs import new_flow_run
from tests.support.prefect import prefect_packages, prefect_python

DAGS = Path(__file__).parents[2] / "dags"
REFERENCES = (DAGS / "dummy_job_spec.yaml", DAGS / "job_spec.yaml")
GENERATED = 500
IMAGE = "gcr.io/dev/k8s-job-flow:0.1.0"
URL, KEY = "https://prefect.example", "prefect-key"

# By the paths of the fields, why ours are others.
MEANT = {
    r"metadata\.(name|generateName)": "a name of its own for each flow run, not the spec's for all",
    r"metadata\.namespace": "Prefect names it with the request",
    r"(spec\.template\.)?metadata\.labels(\.(identifier|flow_run_id))?": (
        "the page's two labels; in Prefect they begin with prefect.io/"
    ),
    r"(spec\.template\.)?metadata\.labels\.prefect\.io/(identifier|flow_run_id)": "see there",
    r"metadata\.labels(\..+)?": "those of the pods where the Job has none, as Kubernetes does it",
    r"metadata\.annotations(\.flowjob/\w+)?": "whose Job it is, for retries and the sweep",
    r"spec\.template\.spec\.restartPolicy": "the API server demands one",
    r"spec\.template\.spec\.containers\[[1-9]\d*\]\.env": (
        "the flow's variables, and its key, are for the first container alone, as on the page"
    ),
}
# Of the first container's variables, those that one of the two does not have.
OURS = {
    "AIRFLOW_CTX_DAG_ID": "Airflow's own",
    "FLOW_RUN_ID": "for any kind of flow",
    "FLOW_PARAMETERS": "for any kind of flow",
    "FLOW_RESULT_PATH": "for any kind of flow",
    "FLOW_RESULT_LIMIT": "for any kind of flow",
    "PREFECT__CLOUD__API": "where Prefect 0.15 sends a key to",
    "PREFECT__CLOUD__API_KEY": "on the page",
    "PREFECT__CONTEXT__FLOW_FILE_PATH": "on the page",
}
PREFECTS = {
    "PREFECT__ENGINE__TASK_RUNNER__DEFAULT_CLASS": "not on the page; it is what Prefect takes then",
}


# By the place of a field, what a user may have written there; None: left out.
_FIELDS: dict[str, list[Any]] = {
    "metadata.name": ["report", "a-b", None],
    "metadata.namespace": ["flows", None],
    "metadata.labels": [{"team": "data"}, {"identifier": "", "flow_run_id": ""}, {}, None],
    "metadata.annotations": [{"owner": "7"}, {"text": "two\n lines"}, None],
    "spec.backoffLimit": [0, 3, None],
    "spec.completions": [1, 2, None],
    "spec.ttlSecondsAfterFinished": [86400, None],
    "spec.suspend": [False, None],
    "spec.podFailurePolicy": [{"rules": [{"action": "Ignore", "onPodConditions": []}]}, None],
    "spec.template.metadata": [{"labels": {"team": "data"}}, {"annotations": {"a": "b"}}, {}, None],
    "spec.template.spec.restartPolicy": ["Never", "OnFailure", None],
    "spec.template.spec.serviceAccountName": ["flows", None],
    "spec.template.spec.nodeSelector": [{"disk": "ssd"}, {}, None],
    "spec.template.spec.tolerations": [[{"key": "gpu", "operator": "Exists"}], None],
    "spec.template.spec.imagePullSecrets": [[{"name": "registry"}], None],
    "spec.template.spec.securityContext": [{"runAsUser": 1000}, {}, None],
    "spec.template.spec.terminationGracePeriodSeconds": [60, None],
    "spec.template.spec.volumes": [[{"name": "scratch", "emptyDir": {}}], None],
    "spec.template.spec.initContainers": [[{"name": "first", "image": "i:1"}], None],
    "spec.template.spec.shareProcessNamespace": [True, None],
}
_CONTAINER: dict[str, list[Any]] = {
    "image": ["", "flows:1", None],
    "command": [["python3"], [], None],
    "args": [["flow.py", "--day=$(DAY)"], [], None],
    "env": [
        [{"name": "DAY", "value": "1"}, {"name": "OTHER", "value": ""}],
        [{"name": "KEY", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}],
        [],
        None,
    ],
    "envFrom": [[{"configMapRef": {"name": "settings"}}], None],
    "resources": [{"limits": {"cpu": 0.5, "memory": "1G"}}, {"requests": {"cpu": "2"}}, None],
    "volumeMounts": [[{"name": "scratch", "mountPath": "/scratch"}], None],
    "ports": [[{"containerPort": 8080}], None],
    "livenessProbe": [{"httpGet": {"port": 8080, "path": "/"}}, None],
    "workingDir": ["/flows", None],
    "imagePullPolicy": ["Always", None],
    "tty": [True, None],
    "terminationMessagePath": ["/result", None],
}


def generated_spec(chance: random.Random) -> dict[str, Any]:
    """Return a job spec with any of those fields."""
    containers = [
        {"name": name} | _chosen(chance, _CONTAINER)
        for name in ("flow", "proxy", "logger")[: chance.choice([1, 1, 2, 3])]
    ]
    spec: dict[str, Any] = {"apiVersion": "batch/v1", "kind": "Job"}
    chosen = _chosen(chance, _FIELDS)
    for place, value in {**chosen, "spec.template.spec.containers": containers}.items():
        *parents, field = place.split(".")
        reduce(lambda parent, key: parent.setdefault(key, {}), parents, spec)[field] = value
    return spec


def _chosen(chance: random.Random, fields: dict[str, list[Any]]) -> dict[str, Any]:
    chosen = {field: chance.choice(values) for field, values in fields.items()}
    return {field: value for field, value in chosen.items() if value is not None}


@pytest.fixture(scope="module")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[Any, Any]]:
    """Of each job spec, the Job of Prefect's and ours."""
    folder, flow_run = tmp_path_factory.mktemp("specs"), new_flow_run()
    files = list(REFERENCES)
    # The same ones in each run.
    chance = random.Random(0)
    for number in range(GENERATED):
        files.append(folder / f"{number}.yaml")
        files[-1].write_text(yaml.safe_dump(generated_spec(chance)))
    done = subprocess.run(
        [
            prefect_python(),
            str(Path(__file__).with_name("flows") / "job_environment.py"),
            flow_run.flow_run_id,
            IMAGE,
            *map(str, files),
        ],
        env={
            "PYTHONPATH": str(prefect_packages("0.15")),
            "HOME": str(folder),
            "PREFECT__CLOUD__GRAPHQL": f"{URL}/graphql",
            "PREFECT__CLOUD__AUTH_TOKEN": KEY,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    made = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert len(made) == len(files) == GENERATED + len(REFERENCES)
    return [(job, our_job(file, flow_run)) for job, file in zip(made, files, strict=True)]


def our_job(file: Path, flow_run: FlowRun) -> Any:
    manifests = make_manifests(
        flow_run,
        JobSpec.from_text(file.read_text(), "spec"),
        JobArguments(IMAGE, PrefectCloudFlow(), namespace="flows"),
        airflow_variables={"AIRFLOW_CTX_DAG_ID": "sales"},
        cluster_namespace=None,
        connection=FlowConnection(URL, KEY),
    )
    return json.loads(json.dumps(manifests.job))


@pytest.mark.parametrize(
    ("module", "name"),
    [
        ("environments/execution/k8s/job.py", "KubernetesJobEnvironment"),
        ("run_configs/kubernetes.py", "KubernetesRun"),
    ],
)
def test_the_docs_say_of_each_argument_where_it_has_gone(module: str, name: str) -> None:
    source = (prefect_packages("0.15") / "prefect" / module).read_text()
    constructor = next(
        node
        for each in ast.parse(source).body
        if isinstance(each, ast.ClassDef) and each.name == name
        for node in each.body
        if isinstance(node, ast.FunctionDef) and node.name == "__init__"
    )
    arguments = [each.arg for each in (*constructor.args.args[1:], *constructor.args.kwonlyargs)]
    page = (DAGS.parent / "docs" / "how_to" / "from_prefect.md").read_text()
    table = page.partition(f"### {name}\n")[2].partition("###")[0]
    assert re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE) == arguments


def first_container(job: Any) -> Any:
    return job["spec"]["template"]["spec"]["containers"][0]


def test_every_field_but_those_that_are_meant_is_as_prefect_has_it(
    pairs: list[tuple[Any, Any]],
) -> None:
    met: Counter[str] = Counter()
    for prefects, ours in pairs:
        prefects, ours = json.loads(json.dumps([prefects, ours]))
        for container in (first_container(prefects), first_container(ours)):
            # They have tests of their own.
            del container["env"], container["args"]
        for path in differences(prefects, ours):
            meant = [pattern for pattern in MEANT if re.fullmatch(pattern, path)]
            assert meant, f"{path} differs in {json.dumps(prefects)[:2000]}"
            met.update(meant[:1])
    assert met.keys() == MEANT.keys()


def test_the_command_is_prefects(pairs: list[tuple[Any, Any]]) -> None:
    for prefects, ours in pairs:
        (prefects_text,), (our_text,) = (first_container(job)["args"] for job in (prefects, ours))
        # The page has the quotes the other way round.
        assert our_text == prefects_text.replace('"', "'")


def test_the_variables_are_prefects_and_the_specs(pairs: list[tuple[Any, Any]]) -> None:
    for prefects, ours in pairs:
        theirs, own = (by_name(first_container(job)["env"]) for job in (prefects, ours))
        assert own.keys() - theirs.keys() == OURS.keys()
        assert theirs.keys() - own.keys() == PREFECTS.keys()
        for name, variable in theirs.items():
            if name == "PREFECT__CLOUD__AUTH_TOKEN":
                # The key stands in no Job.
                source = own[name]["valueFrom"]["secretKeyRef"]
                assert source == {"name": ours["metadata"]["name"], "key": name}
            elif name not in PREFECTS:
                assert own[name] == variable


def by_name(variables: list[Any]) -> dict[str, Any]:
    return {variable["name"]: variable for variable in variables}
