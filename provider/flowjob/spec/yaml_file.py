"""Read a YAML file with one Kubernetes object, as the API server does, and know each field's line.

Pure but for the reading of the file: no Airflow, no Kubernetes client.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from flowjob.exceptions import JobSpecError
from flowjob.spec.json_values import json_copy, printable
from flowjob.spec.yaml_scalars import read_plain

# Bytes; etcd, and so the API server, takes little more for one object.
_LARGEST_FILE = 2**20
# Fields and values that a file may have with its aliases expanded: a small file can have billions.
_MOST_NODES = 100_000
# Fields and values that may stand in it: reading takes a second or so for these, and a Job has less
# than a hundred.
_MOST_WRITTEN = 10_000
_TAG = "tag:yaml.org,2002:"
_STRING, _MERGE, _NULL = f"{_TAG}str", f"{_TAG}merge", f"{_TAG}null"
# The tags that the API server reads as we do, whatever they stand at.
_WRITTEN_TAGS = {_STRING, f"{_TAG}map", f"{_TAG}seq"}


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
            content = loader.construct_document(self._node) if self._node else None
        except yaml.reader.ReaderError as error:
            line = text.count("\n", 0, error.position) + 1
            raise JobSpecError(
                f"the job spec {source}:{line} is no YAML: the character U+{error.character:04X} "
                "stands in no YAML file"
            ) from None
        except yaml.MarkedYAMLError as error:
            mark = error.problem_mark or error.context_mark
            at = f":{mark.line + 1}" if mark else ""
            problem = printable(error.problem or error.context or "")
            hint = _hint(text.splitlines()[mark.line : mark.line + 1] if mark else [])
            raise JobSpecError(f"the job spec {source}{at} is no YAML: {problem}{hint}") from None
        except RecursionError:
            raise JobSpecError(f"the job spec {source} is no YAML: it is nested too deep") from None
        except (yaml.YAMLError, ValueError) as error:
            raise JobSpecError(f"the job spec {source} is no YAML: {error}") from None
        self.content: Any = json_copy(content, self.where)

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


def to_yaml(manifest: dict[str, Any]) -> str:
    """Write a manifest as YAML that the API server reads as the same."""
    text: str = yaml.dump(
        manifest, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False
    )
    return text


class _Types:
    """Tells the type of a value that is written without quotes, as the API server does."""

    def resolve(self, kind: type[yaml.Node], value: Any, implicit: Any) -> str:
        """Tell it (PyYAML calls this, of a reader and of a writer)."""
        if kind is not yaml.ScalarNode or not implicit[0]:
            tag: str = super().resolve(kind, value, implicit)  # type: ignore[misc]
            return tag
        if value == "<<":
            return _MERGE
        found = read_plain(value)
        return _NULL if found is None else f"{_TAG}{type(found).__name__}"


class _Dumper(_Types, yaml.SafeDumper):
    """Write YAML for the API server: with quotes around what it takes for no text."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write what stands in two places twice."""
        return True


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    """Write text of several lines as such, and characters that are not seen by their codes."""
    if not text.replace("\n", "").isprintable():
        return dumper.represent_scalar(_STRING, text, style='"')
    return dumper.represent_scalar(_STRING, text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _represent_text)


class _Loader(_Types, yaml.SafeLoader):
    """Read YAML as the API server does: its scalars are read there, and a key stands once."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._written = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Refuse tags that the API server and this reader may understand differently."""
        event = self.peek_event()  # type: ignore[no-untyped-call]
        self._written += 1
        if self._written > _MOST_WRITTEN:
            raise _error(event.start_mark, f"it has more than {_MOST_WRITTEN} values")
        tag = getattr(event, "tag", None)
        if tag is not None and tag not in _WRITTEN_TAGS:
            shown = printable(tag.replace(_TAG, "!!"))
            raise _error(event.start_mark, f"JSON has no tag '{shown}': write the value without it")
        node: yaml.Node | None = super().compose_node(parent, index)
        return node

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        """Refuse a second key of the same name, which YAML would let win silently."""
        node = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            if key.value in seen:
                raise _error(
                    key.start_mark, f"the key '{printable(key.value)}' stands twice in one mapping"
                )
            if key.tag == _MERGE and seen & _keys_to_merge(value):
                # YAML lets them win, the API server those that it merges in.
                raise _error(
                    key.start_mark, "what << merges in stands before it already: put << first"
                )
            seen.add(key.value)
        return node

    def construct_plain(self, node: yaml.ScalarNode) -> Any:
        """Make what ``resolve`` told the type of."""
        return read_plain(node.value)


for _type in ("int", "float", "bool", "null"):
    _Loader.add_constructor(f"{_TAG}{_type}", _Loader.construct_plain)


def _hint(lines: list[str]) -> str:
    if any("{{" in line or "{%" in line for line in lines):
        return " (it is Jinja, and a job spec is not templated: use the operator's arguments)"
    return ""


def _error(mark: yaml.Mark, problem: str) -> yaml.MarkedYAMLError:
    return yaml.composer.ComposerError(None, None, problem, mark)


def _keys_to_merge(node: yaml.Node) -> set[str]:
    """Return the keys that ``<<`` takes from its value, a mapping or a list of mappings."""
    keys: set[str] = set()
    waiting, known = [node], {id(node)}
    while waiting:
        node = waiting.pop()
        children: list[yaml.Node] = []
        if isinstance(node, yaml.SequenceNode):
            children = node.value
        elif isinstance(node, yaml.MappingNode):
            keys |= {key.value for key, _ in node.value if isinstance(key, yaml.ScalarNode)}
            children = [value for key, value in node.value if key.tag == _MERGE]
        new = [child for child in children if id(child) not in known]
        known |= {id(child) for child in new}
        waiting += new
    return keys - {"<<"}


def _check_nodes(node: yaml.Node, parents: tuple[yaml.Node, ...], count: list[int]) -> None:
    """Refuse what JSON has not: keys that are no strings, endless aliases."""
    count[0] += 1
    if count[0] > _MOST_NODES:
        raise _error(node.start_mark, f"it has more than {_MOST_NODES} values, aliases expanded")
    if any(parent is node for parent in parents):
        raise _error(node.start_mark, "an alias stands within what it stands for")
    if node.tag == _MERGE:
        # It means something as a key only.
        node.tag = _STRING
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _error(key.start_mark, "a key is no string but a list or a mapping")
            if key.tag not in (_STRING, _MERGE):
                raise _error(
                    key.start_mark,
                    f"the key '{printable(key.value)}' is no string; write it in quotes",
                )
            _check_nodes(value, (*parents, node), count)
    if isinstance(node, yaml.SequenceNode):
        for item in node.value:
            _check_nodes(item, (*parents, node), count)


def _child(node: yaml.Node, key: str) -> tuple[int, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        for name, value in node.value:
            if name.value == key:
                return name.start_mark.line, value
    if isinstance(node, yaml.SequenceNode) and (position := _POSITION.fullmatch(key)):
        index = int(position[1])
        if index < len(node.value):
            return node.value[index].start_mark.line, node.value[index]
    return None


_POSITION = re.compile(r"\[([0-9]{1,9})\]")
