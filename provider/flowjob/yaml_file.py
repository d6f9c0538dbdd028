"""Read a YAML file with one Kubernetes object, as kubectl does, and know each field's line.

Pure but for the reading of the file: no Airflow, no Kubernetes client.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from flowjob.exceptions import JobSpecError

# Bytes; etcd, and so the API server, takes little more for one object.
_LARGEST_FILE = 2**20
# Fields and values that a file may have with its aliases expanded: a small file can have billions.
_MOST_NODES = 100_000
_SCALARS = {f"tag:yaml.org,2002:{name}" for name in ("str", "int", "float", "bool", "null")}
_COLLECTIONS = {"tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"}
_STRING, _MERGE = "tag:yaml.org,2002:str", "tag:yaml.org,2002:merge"


class YamlFile:
    """The one document of a YAML text.

    :param text: the YAML.
    :param source: names it in messages.
    :raises JobSpecError: it is no YAML that stands for JSON; the message names source and line.
    """

    def __init__(self, text: str, source: str) -> None:
        self._source = source
        if len(text.encode(errors="replace")) > _LARGEST_FILE:
            raise JobSpecError(f"the job spec {source} is larger than Kubernetes takes: 1 MiB")
        try:
            loader = _Loader(text)
            self._node = loader.get_single_node()
            if self._node is not None:
                _check_nodes(self._node, (), [0])
            self.content: Any = loader.construct_document(self._node) if self._node else None
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            line = f":{mark.line + 1}" if mark else ""
            problem = error.problem or error.context
            raise JobSpecError(f"the job spec {source}{line} is no YAML: {problem}") from None
        except (yaml.YAMLError, RecursionError, ValueError) as error:
            raise JobSpecError(f"the job spec {source} is no YAML: {error}") from None

    @classmethod
    def read(cls, path: Path) -> YamlFile:
        """Read a file.

        :raises JobSpecError: it cannot be read, or as the constructor does.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise JobSpecError(f"cannot read the job spec {path}: {reason}") from None
        return cls(text, str(path))

    def where(self, field: str) -> str:
        """Return the place of a field such as ``spec.containers[0]``, or of its nearest parent."""
        node = self._node
        line = node.start_mark.line if node else 0
        for key in field.replace("[", ".[").split("."):
            found = _child(node, key) if node else None
            if found is None:
                break
            line, node = found
        return f"{self._source}:{line + 1}"


class _Loader(yaml.SafeLoader):
    """Read YAML as kubectl does: timestamps stay strings, a key stands once."""

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Refuse a second key of the same name, which YAML would let win silently."""
        node = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    raise _error(key, f"the key {key.value!r} stands twice in one mapping")
                seen.add(key.value)
        return node


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith(":timestamp")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _error(node: yaml.Node, problem: str) -> yaml.MarkedYAMLError:
    return yaml.composer.ComposerError(None, None, problem, node.start_mark)


def _check_nodes(node: yaml.Node, parents: tuple[yaml.Node, ...], count: list[int]) -> None:
    """Refuse what JSON has not: other types, keys that are no strings, endless aliases."""
    count[0] += 1
    if count[0] > _MOST_NODES:
        raise _error(node, f"it has more than {_MOST_NODES} values, aliases expanded")
    if any(parent is node for parent in parents):
        raise _error(node, "an alias stands within what it stands for")
    if node.tag not in _SCALARS | _COLLECTIONS:
        raise _error(node, f"JSON has no {node.tag.removeprefix('tag:yaml.org,2002:')}")
    if isinstance(node, yaml.ScalarNode) and node.value.lower().lstrip("+-") in (".inf", ".nan"):
        raise _error(node, f"JSON has no number {node.value}")
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.tag not in (_STRING, _MERGE):
                raise _error(key, f"the key {key.value!r} is no string; write it in quotes")
            _check_nodes(value, (*parents, node), count)
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _check_nodes(item, (*parents, node), count)


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
