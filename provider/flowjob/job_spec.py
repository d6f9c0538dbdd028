"""``JobSpec``: load and check a user's Job spec, and make the manifest of one flow run from it.

Pure: no Airflow, no Kubernetes client. Manifests stay plain dicts all the way, as the Python
client's models drop the fields that they do not know.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from flowjob.exceptions import JobSpecError
from flowjob.flow_run import LONGEST_JOB_NAME, FlowRun

Manifest = dict[str, Any]

# What the kubelet keeps of a container's termination message and of all of a pod's, in bytes.
_LONGEST_MESSAGE = 4096
_LONGEST_MESSAGES_OF_POD = 12288


@dataclass(frozen=True)
class FlowContainer:
    """What replaces fields of the spec's first container.

    :param image: its image; None leaves the spec's own, and so do the next two.
    :param command: its entrypoint.
    :param args: its entrypoint's arguments.
    :param env: variables by name, in their order; one that the spec has already is replaced in
        its place, new ones are appended.
    """

    image: str | None
    command: list[str] | None
    args: list[str] | None
    env: Mapping[str, str]


class JobSpec:
    """A Kubernetes Job manifest that a user wrote; what was loaded is never changed."""

    def __init__(self, manifest: Manifest, where: Callable[[str], str]) -> None:
        """Check the parts of the manifest that a flow run touches; the rest is Kubernetes'.

        :param manifest: the Job as a dict.
        :param where: names the place of a field (``spec.template.spec.containers[0]``) for
            messages.
        :raises JobSpecError: it is no Job whose first container can run a flow.
        """
        _check(manifest, where)
        self._manifest = manifest

    @classmethod
    def from_file(cls, path: Path) -> JobSpec:
        """Load a YAML file with exactly one Job.

        :raises JobSpecError: it cannot be read, is no YAML, or is no Job; the message names the
            file and, where there is one, line and field.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise JobSpecError(f"cannot read the job spec {path}: {reason}") from None
        return cls.from_text(text, str(path))

    @classmethod
    def from_text(cls, text: str, source: str) -> JobSpec:
        """Load YAML text; ``source`` names it in messages.

        :raises JobSpecError: as ``from_file``.
        """
        try:
            loader = _Loader(text)
            node = loader.get_single_node()
            manifest: Any = loader.construct_document(node) if node else None
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = f":{mark.line + 1}" if mark else ""
            problem = error.problem or error.context
            raise JobSpecError(f"the job spec {source}{line} is no YAML: {problem}") from None
        except (yaml.YAMLError, RecursionError) as error:
            raise JobSpecError(f"the job spec {source} is no YAML: {error}") from None
        return cls(manifest, lambda field: f"{source}:{_line(node, field)}")

    @classmethod
    def from_dict(cls, manifest: Manifest) -> JobSpec:
        """Take a Job as a dict, as the operator's ``job_spec`` gives it.

        :raises JobSpecError: it is no Job whose first container can run a flow.
        """
        return cls(copy.deepcopy(manifest), lambda field: "job_spec")

    @property
    def base_name(self) -> str | None:
        """What the user called the Job: ``metadata.name``, else ``generateName``."""
        metadata = self._manifest.get("metadata") or {}
        return metadata.get("name") or metadata.get("generateName")

    @property
    def namespace(self) -> str | None:
        """The namespace that the spec names."""
        return (self._manifest.get("metadata") or {}).get("namespace")

    @property
    def image(self) -> str:
        """The flow container's own image, empty in a dummy first container."""
        return self._flow_container.get("image") or ""

    @property
    def ttl(self) -> int | None:
        """Seconds after its end until Kubernetes deletes the Job (``ttlSecondsAfterFinished``)."""
        seconds: int | None = self._manifest["spec"].get("ttlSecondsAfterFinished")
        return seconds

    @property
    def has_command(self) -> bool:
        """Whether the flow container says by itself what it runs."""
        return bool(self._flow_container.get("command") or self._flow_container.get("args"))

    @property
    def result_path(self) -> str:
        """Where in the flow container its termination message, the result, is written."""
        return self._flow_container.get("terminationMessagePath") or "/dev/termination-log"

    @property
    def result_limit(self) -> int:
        """How many bytes of the termination message the kubelet keeps."""
        pod = self._manifest["spec"]["template"]["spec"]
        containers = len(pod["containers"]) + len(pod.get("initContainers") or [])
        return min(_LONGEST_MESSAGE, _LONGEST_MESSAGES_OF_POD // containers)

    @property
    def _flow_container(self) -> dict[str, Any]:
        container: dict[str, Any] = self._manifest["spec"]["template"]["spec"]["containers"][0]
        return container

    def for_flow_run(
        self, flow_run: FlowRun, container: FlowContainer, *, namespace: str, name: str | None
    ) -> Manifest:
        """Make the Job of one flow run; it differs from the spec as DESIGN section 4.1 lists.

        :param flow_run: gives the Job's name, labels and annotations.
        :param container: replaces fields of the first container.
        :param namespace: namespace of the Job.
        :param name: what the Job's name begins with, in place of the spec's own.
        """
        manifest = copy.deepcopy(self._manifest)
        metadata = _mapping(manifest, "metadata")
        template = manifest["spec"]["template"]
        metadata.pop("generateName", None)
        metadata["name"] = flow_run.job_name(name or self.base_name, self._longest_name)
        metadata["namespace"] = namespace
        template_labels = _mapping(_mapping(template, "metadata"), "labels")
        if not metadata.get("labels"):
            # The API server would do so, were it not for the two labels of ours.
            metadata["labels"] = dict(template_labels)
        metadata["labels"].update(flow_run.labels)
        template_labels.update(flow_run.labels)
        _mapping(metadata, "annotations").update(flow_run.annotations)
        # The API server takes no Job without it; its own default, Always, is not for Jobs.
        template["spec"].setdefault("restartPolicy", "Never")
        _override(template["spec"]["containers"][0], container)
        return manifest

    @property
    def _longest_name(self) -> int:
        """An Indexed Job's name and "-index" together have the limit of a pod's host name."""
        spec = self._manifest["spec"]
        if spec.get("completionMode") != "Indexed":
            return LONGEST_JOB_NAME
        return LONGEST_JOB_NAME - len(f"-{max(int(spec.get('completions') or 1) - 1, 0)}")


def _override(container: dict[str, Any], flow: FlowContainer) -> None:
    for field in ("image", "command", "args"):
        value = getattr(flow, field)
        if value is not None:
            container[field] = value
    env = [
        {"name": variable["name"], "value": flow.env[variable["name"]]}
        if variable.get("name") in flow.env
        else variable
        for variable in container.get("env") or []
    ]
    present = {variable.get("name") for variable in env}
    env += [{"name": key, "value": flow.env[key]} for key in flow.env if key not in present]
    container["env"] = env


def _mapping(parent: dict[str, Any], key: str) -> dict[str, Any]:
    """Return the mapping below ``key``, made where the spec has none or an empty one."""
    if parent.get(key) is None:
        parent[key] = {}
    child: dict[str, Any] = parent[key]
    return child


def _check(manifest: Any, where: Callable[[str], str]) -> None:
    if not isinstance(manifest, dict):
        raise JobSpecError(f"{where('')}: the job spec is no mapping: write one Kubernetes Job")
    found = f"{manifest.get('apiVersion')}/{manifest.get('kind')}"
    if found != "batch/v1/Job":
        raise JobSpecError(
            f"{where('kind')}: the job spec is a {found}: write a Job of apiVersion batch/v1"
        )
    for field in ("metadata", "metadata.labels", "metadata.annotations"):
        _expect(manifest, field, dict, where, optional=True)
    for field in ("spec", "spec.template", "spec.template.spec"):
        _expect(manifest, field, dict, where)
    for field in ("spec.template.metadata", "spec.template.metadata.labels"):
        _expect(manifest, field, dict, where, optional=True)
    _expect(manifest, "spec.template.spec.initContainers", list, where, optional=True)
    containers = _expect(manifest, "spec.template.spec.containers", list, where)
    _check_flow_container(containers, where)


def _check_flow_container(containers: list[Any], where: Callable[[str], str]) -> None:
    first = "spec.template.spec.containers[0]"
    if not containers:
        raise JobSpecError(
            f"{where('spec.template.spec.containers')}: spec.template.spec.containers is empty: "
            "the first container is the one that runs the flow"
        )
    if not isinstance(containers[0], dict) or not containers[0].get("name"):
        raise JobSpecError(
            f"{where(first)}: {first}, the flow container, must be a mapping with a name"
        )
    env = containers[0].get("env")
    if env is not None and not (
        isinstance(env, list) and all(isinstance(variable, dict) for variable in env)
    ):
        raise JobSpecError(
            f"{where(first + '.env')}: {first}.env must be a list of mappings with name and value"
        )


def _expect(
    manifest: Manifest,
    field: str,
    kind: type,
    where: Callable[[str], str],
    *,
    optional: bool = False,
) -> Any:
    value: Any = manifest
    for key in field.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    if isinstance(value, kind) or (optional and value is None):
        return value
    expected = "a mapping" if kind is dict else "a list"
    raise JobSpecError(f"{where(field)}: {field} of the job spec must be {expected}")


class _Loader(yaml.SafeLoader):
    """Read YAML as kubectl does: timestamps stay strings, a key stands once."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Refuse a second key of the same name, which YAML would let win silently."""
        node = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    problem = f"the key {key.value!r} stands twice in one mapping"
                    raise yaml.composer.ComposerError(None, None, problem, key.start_mark)
                seen.add(key.value)
        return node


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _line(node: yaml.Node | None, field: str) -> int:
    """Find the line of a field, or of the innermost parent of it that the file has."""
    line = node.start_mark.line if node else 0
    for key in field.replace("[", ".[").split("."):
        found = _child(node, key) if node else None
        if found is None:
            break
        line, node = found
    return line + 1


def _child(node: yaml.Node, key: str) -> tuple[int, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            if name.value == key:
                return name.start_mark.line, value
    if isinstance(node, yaml.SequenceNode) and key.startswith("["):
        index = int(key[1:-1])
        if index < len(node.value):
            return node.value[index].start_mark.line, node.value[index]
    return None
