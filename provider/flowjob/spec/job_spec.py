"""``JobSpec``: load and check a user's Job spec, and make the manifest of one flow run from it.

Pure: no Airflow, no Kubernetes client. Manifests stay plain dicts all the way, as the Python
client's models drop the fields that they do not know.
"""

from __future__ import annotations

import copy
import os
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from flowjob.exceptions import JobRefusedError
from flowjob.flow_run import LONGEST_JOB_NAME, FlowRun
from flowjob.kubernetes_object import all_containers, flow_container, termination_message_limit
from flowjob.spec.checks import check_job
from flowjob.spec.jinja import jinja_fields
from flowjob.spec.json_values import json_copy, printable
from flowjob.spec.overrides import check_overrides, merged
from flowjob.spec.variables import merge_variables
from flowjob.spec.yaml_file import YamlFile, file_error
from flowjob.status.job import has_many_pods

Manifest = dict[str, Any]
_Version = tuple[int, int, int, int]

# How messages name the fields of the first container.
_FLOW_CONTAINER = "spec.template.spec.containers[0]."
# Of the fields that are doubted, so many are told.
_TOLD = 5
# Nanoseconds; two changes of a file within one tick of the file system's clock look like one.
_TICK = 100_000_000


@dataclass(frozen=True)
class FlowContainer:
    """What replaces fields of the spec's first container.

    :param image: its image; None leaves the spec's own, and so do the next two.
    :param command: its entrypoint.
    :param args: its entrypoint's arguments.
    :param env: ours by name, in their order; see ``merge_variables``, as for the next two.
    :param user_env: the user's.
    :param yielding: which of ``env`` stay the spec's where it takes them from a Secret or the like.
    """

    image: str | None
    command: list[str] | None
    args: list[str] | None
    env: Mapping[str, Any]
    user_env: Mapping[str, Any] = field(default_factory=dict)
    yielding: Collection[str] = ()


class JobSpec:
    """A Kubernetes Job manifest that a user wrote; what was loaded is never changed."""

    def __init__(
        self, manifest: Manifest, where: Callable[[str], str], *, is_templated: bool = False
    ) -> None:
        """Check the parts of the manifest that a flow run touches; the rest is Kubernetes'.

        :param manifest: the Job as a dict.
        :param where: names the place of a field (``spec.template.spec.containers[0]``) for
            messages.
        :param is_templated: whether its values are to be rendered.
        :raises JobSpecError: it is no Job whose first container can run a flow.
        """
        check_job(manifest, where, is_templated=is_templated)
        self._manifest = manifest
        self._where = where
        self._is_templated = is_templated

    @classmethod
    def from_file(cls, path: str | Path, *, is_templated: bool = False) -> JobSpec:
        """Load a YAML file with exactly one Job, once for all who ask until the file changes.

        :param is_templated: its values are to be rendered; see ``rendered``.
        :raises JobSpecMissingError: there is no such file.
        :raises JobSpecError: it cannot be read, is no YAML, or is no Job; the message names the
            file and, where there is one, line and field.
        """
        path = str(path)
        try:
            status = os.stat(path)
        except OSError as error:
            raise file_error(path, error) from None
        # Symbolic links are moved at once to another file, which may be as old and as large.
        version = status.st_mtime_ns, status.st_size, status.st_ino, status.st_dev
        key = path, is_templated
        known = _LOADED.get(key)
        if known is not None and version == known[0]:
            return known[1]
        is_settled = time.time_ns() - status.st_mtime_ns > _TICK
        file = YamlFile.read(path)
        spec = cls(file.content, file.where, is_templated=is_templated)
        if is_settled:
            _LOADED[key] = version, spec
        return spec

    @classmethod
    def from_text(cls, text: str, source: str) -> JobSpec:
        """Load YAML text; ``source`` names it in messages.

        :raises JobSpecError: as ``from_file``.
        """
        file = YamlFile(text, source)
        return cls(file.content, file.where)

    @classmethod
    def from_dict(cls, manifest: Manifest, *, is_templated: bool = False) -> JobSpec:
        """Take a Job as a dict, as the operator's ``job_spec`` gives it.

        :param is_templated: its values are to be rendered; see ``rendered``.
        :raises JobSpecError: it is no Job whose first container can run a flow, or holds what
            JSON does not have.
        """
        return cls(json_copy(manifest, _in_dict), _in_dict, is_templated=is_templated)

    def rendered(self, render: Callable[[Manifest], Any]) -> JobSpec:
        """Return the job spec with its values rendered.

        :param render: returns a copy of the manifest with its texts rendered.
        :raises JobSpecError: what comes of it is no Job whose first container can run a flow.
        """
        return JobSpec(json_copy(render(self._manifest), self._where), self._where)

    def with_overrides(self, overrides: Mapping[str, Any]) -> JobSpec:
        """Return the job spec with fields of its first container in place of its own.

        :param overrides: see ``merged``.
        :raises JobSpecError: they are not to be overridden, or what comes of it is no such Job.
        """
        check_overrides(overrides)
        manifest = copy.deepcopy(self._manifest)
        container = flow_container(manifest["spec"]["template"]["spec"])
        fields = merged(container, overrides)
        container.clear()
        container.update(fields)

        def where(field: str) -> str:
            key = field.removeprefix(_FLOW_CONTAINER).partition(".")[0].partition("[")[0]
            is_override = field.startswith(_FLOW_CONTAINER) and key in overrides
            return "container_overrides" if is_override else self._where(field)

        return JobSpec(json_copy(manifest, where), where)

    def locate(self, error: JobRefusedError) -> JobRefusedError:
        """Return the error with the places of the fields that it names: ``specs/job.yaml:7``."""
        places = ", ".join(dict.fromkeys(self._where(field) for field in error.fields))
        return JobRefusedError(f"{error} ({places})", error.fields) if places else error

    @property
    def doubt(self) -> str | None:
        """What the author may not have meant, as a sentence; None: nothing of that kind."""
        fields = list(jinja_fields(self._manifest))
        if not fields or self._is_templated:
            return None
        told = ", ".join(f"{printable(each)} ({self._where(each)})" for each in fields[:_TOLD])
        more = f" and {len(fields) - _TOLD} more" if len(fields) > _TOLD else ""
        return (
            f"the job spec has Jinja in {told}{more}, which reaches the container as it stands: "
            "give the value to the operator in parameters or env, and refer to it as $(NAME), or "
            "give the operator template_job_spec=True"
        )

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
    def flow_container_name(self) -> str:
        """The name of the first container, which runs the flow."""
        name: str = self._flow_container["name"]
        return name

    @property
    def has_many_pods(self) -> bool:
        """Whether the Job has several pods by design, not one after another has failed."""
        return has_many_pods(self._manifest)

    @property
    def container_names(self) -> list[str | None]:
        """The names of the pod's init containers and containers."""
        return [container.get("name") for container in all_containers(self._pod_spec)]

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
        return termination_message_limit(self._pod_spec)

    @property
    def _flow_container(self) -> dict[str, Any]:
        return flow_container(self._pod_spec)

    @property
    def _pod_spec(self) -> dict[str, Any]:
        pod_spec: dict[str, Any] = self._manifest["spec"]["template"]["spec"]
        return pod_spec

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
        metadata["name"] = self.job_name(flow_run, name)
        metadata["namespace"] = namespace
        template_labels = _mapping(_mapping(template, "metadata"), "labels")
        if not metadata.get("labels"):
            # The API server would do so, were it not for the two labels of ours.
            metadata["labels"] = dict(template_labels)
        metadata["labels"].update(flow_run.labels)
        template_labels.update(flow_run.labels)
        _mapping(metadata, "annotations").update(flow_run.annotations)
        # The API server takes no Job without it; its own default, Always, is not for Jobs.
        if not template["spec"].get("restartPolicy"):
            template["spec"]["restartPolicy"] = "Never"
        _override(flow_container(template["spec"]), container)
        return manifest

    def job_name(self, flow_run: FlowRun, name: str | None) -> str:
        """Return the name of a flow run's Job; see ``for_flow_run``."""
        return flow_run.job_name(name or self.base_name, self._longest_name)

    @property
    def _longest_name(self) -> int:
        """An Indexed Job's name and "-index" together have the limit of a pod's host name."""
        spec = self._manifest["spec"]
        if spec.get("completionMode") != "Indexed":
            return LONGEST_JOB_NAME
        return LONGEST_JOB_NAME - len(f"-{max((spec.get('completions') or 1) - 1, 0)}")


# What was loaded last from each path, and from which version of the file. A lock would gain
# nothing: threads that load a file at once load the same.
_LOADED: dict[tuple[str, bool], tuple[_Version, JobSpec]] = {}


def _in_dict(field: str) -> str:
    return "job_spec"


def _override(container: dict[str, Any], flow: FlowContainer) -> None:
    for name in ("image", "command", "args"):
        value = getattr(flow, name)
        if value is not None:
            container[name] = value
    given = container.get("env") or []
    container["env"] = merge_variables(given, flow.env, flow.user_env, flow.yielding)


def _mapping(parent: dict[str, Any], key: str) -> dict[str, Any]:
    """Return the mapping below ``key``, made where the spec has none or an empty one."""
    if parent.get(key) is None:
        parent[key] = {}
    child: dict[str, Any] = parent[key]
    return child
