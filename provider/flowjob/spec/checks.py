"""Check what a job spec must be for a flow run, before the API server sees it.

Only what a flow run touches, and the mistakes that its users make most; the rest is the API
server's, which refuses unknown fields. Pure: no Airflow, no Kubernetes client.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from flowjob.exceptions import JobSpecError
from flowjob.spec.jinja import has_jinja
from flowjob.spec.json_values import printable

Where = Callable[[str], str]

_POD = "spec.template.spec"
# What people bring in place of a Job, and how it becomes one.
_HINTS = {
    "CronJob": "take its spec.jobTemplate, and let Airflow schedule it",
    "List": "take its Job out of the list, into a file of its own",
    "Pod": "put its spec below spec.template of a Job",
}
# What a Job has that was exported from a cluster, and no new one may have or needs.
_OF_THE_CLUSTER = (
    "metadata.creationTimestamp",
    "metadata.generation",
    "metadata.managedFields",
    "metadata.ownerReferences",
    "metadata.resourceVersion",
    "metadata.selfLink",
    "metadata.uid",
    "spec.selector",
    "status",
)
_LABELS_OF_THE_CLUSTER = (
    "batch.kubernetes.io/controller-uid",
    "batch.kubernetes.io/job-name",
    "controller-uid",
    "job-name",
)
# Mappings of the spec whose values are strings.
_STRING_MAPPINGS = (
    "metadata.labels",
    "metadata.annotations",
    "spec.template.metadata.labels",
    "spec.template.metadata.annotations",
    f"{_POD}.nodeSelector",
)
# What the first container's fields, or ours, are made of.
_STRINGS = ("metadata.name", "metadata.generateName", "metadata.namespace")
_CONTAINER_STRINGS = ("name", "image", "terminationMessagePath")
_INTEGERS = ("spec.completions", "spec.ttlSecondsAfterFinished")


def check_job(manifest: Any, where: Where, *, is_templated: bool = False) -> None:
    """Check that a flow can be run in the first container of the Job.

    :param manifest: the Job as a dict.
    :param where: names the place of a field (``spec.template.spec.containers[0]``) for messages.
    :param is_templated: whether Jinja in it is to be rendered.
    :raises JobSpecError: it cannot; the message names the field and what to do.
    """
    if not isinstance(manifest, dict):
        raise JobSpecError(f"{where('')}: the job spec is no mapping: write one Kubernetes Job")
    _check_kind(manifest, where)
    _check_shape(manifest, where)
    _check_not_exported(manifest, where)
    for field, value in _strings_of(manifest, where):
        if not isinstance(value, str | None):
            raise JobSpecError(
                f"{where(field)}: {printable(field)} is no string: write it in quotes"
            )
    for field in _INTEGERS:
        value = _get(manifest, field)
        if is_templated and isinstance(value, str) and has_jinja(value):
            continue
        if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
            raise JobSpecError(f"{where(field)}: {field} is no whole number")


def _check_kind(manifest: dict[str, Any], where: Where) -> None:
    version, kind = (_word(manifest.get(field)) for field in ("apiVersion", "kind"))
    if (version, kind) != ("batch/v1", "Job"):
        hint = _HINTS.get(kind, "write a Job of apiVersion batch/v1")
        raise JobSpecError(f"{where('kind')}: the job spec is a {version}/{kind}: {hint}")


def _check_shape(manifest: dict[str, Any], where: Where) -> None:
    for field in ("metadata", *_STRING_MAPPINGS[:2]):
        _expect(manifest, field, dict, where, optional=True)
    for field in ("spec", "spec.template", _POD):
        _expect(manifest, field, dict, where)
    for field in ("spec.template.metadata", *_STRING_MAPPINGS[2:]):
        _expect(manifest, field, dict, where, optional=True)
    _expect(manifest, f"{_POD}.initContainers", list, where, optional=True)
    containers = _expect(manifest, f"{_POD}.containers", list, where)
    if not containers:
        raise JobSpecError(
            f"{where(f'{_POD}.containers')}: {_POD}.containers is empty: the first container is "
            "the one that runs the flow"
        )
    first = f"{_POD}.containers[0]"
    if not isinstance(containers[0], dict) or not containers[0].get("name"):
        raise JobSpecError(
            f"{where(first)}: {first}, the flow container, must be a mapping with a name"
        )


def _check_not_exported(manifest: dict[str, Any], where: Where) -> None:
    """Name at once all that a Job of a cluster's has; the API server would name one by one."""
    has_selector = _get(manifest, "spec.selector") and not _get(manifest, "spec.manualSelector")
    if not (has_selector or _get(manifest, "metadata.resourceVersion")):
        return
    fields = [field for field in _OF_THE_CLUSTER if _get(manifest, field) is not None]
    for parent in ("metadata", "spec.template.metadata"):
        labels = _get(manifest, f"{parent}.labels") or {}
        fields += [f"{parent}.labels[{name}]" for name in _LABELS_OF_THE_CLUSTER if name in labels]
    raise JobSpecError(
        f"{where('metadata')}: the job spec is a Job of a cluster's: remove {', '.join(fields)}"
    )


def _word(value: Any) -> str:
    """Return a short text of one line as it is, and of anything else what it is."""
    if isinstance(value, str | None) and str(value).isprintable() and len(str(value)) <= 100:
        return str(value)
    return f"({type(value).__name__})"


def _strings_of(manifest: dict[str, Any], where: Where) -> Iterator[tuple[str, Any]]:
    """Yield the values that Kubernetes wants to be strings, with their fields."""
    for field in _STRINGS:
        yield field, _get(manifest, field)
    for field in _STRING_MAPPINGS:
        for key, value in (_get(manifest, field) or {}).items():
            yield f"{field}.{key}", value
    for kind in ("initContainers", "containers"):
        for index, container in enumerate(_get(manifest, f"{_POD}.{kind}") or []):
            if isinstance(container, dict):
                yield from _strings_of_container(f"{_POD}.{kind}[{index}]", container, where)


def _strings_of_container(
    field: str, container: dict[str, Any], where: Where
) -> Iterator[tuple[str, Any]]:
    for name in _CONTAINER_STRINGS:
        yield f"{field}.{name}", container.get(name)
    for name in ("command", "args"):
        words = container.get(name)
        if words is not None and not isinstance(words, list):
            raise JobSpecError(f"{where(f'{field}.{name}')}: {field}.{name} must be a list")
        for index, word in enumerate(words or []):
            yield f"{field}.{name}[{index}]", word
    env = container.get("env")
    if env is None:
        return
    if not isinstance(env, list) or not all(isinstance(variable, dict) for variable in env):
        raise JobSpecError(
            f"{where(field + '.env')}: {field}.env must be a list of mappings with name and value"
        )
    for index, variable in enumerate(env):
        yield f"{field}.env[{index}].name", variable.get("name")
        yield f"{field}.env[{index}].value", variable.get("value")


def _get(manifest: dict[str, Any], field: str) -> Any:
    value: Any = manifest
    for key in field.split("."):
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _expect(
    manifest: dict[str, Any], field: str, kind: type, where: Where, *, optional: bool = False
) -> Any:
    value = _get(manifest, field)
    if isinstance(value, kind) or (optional and value is None):
        return value
    expected = "a mapping" if kind is dict else "a list"
    raise JobSpecError(f"{where(field)}: {field} of the job spec must be {expected}")
