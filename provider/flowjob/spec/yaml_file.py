"""Read a YAML file with one Kubernetes object, as the API server does, and know each field's line.

Pure but for the reading of the file: no Airflow, no Kubernetes client.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

from flowjob.exceptions import JobSpecError, JobSpecMissingError
from flowjob.spec.json_values import json_copy, printable
from flowjob.spec.yaml_nodes import FASTEST, MERGE, STRING, AnyLoader, Types, error_at

# Bytes; etcd, and so the API server, takes little more for one object.
_LARGEST_FILE = 2**20
# Fields and values that a file may have with its aliases expanded: a small file can have billions.
_MOST_NODES = 100_000
# Of the objects in a file, so many are told.
_TOLD = 5
# What JSON writes otherwise than YAML: a character of two halves, and a slash.
_JSON_ESCAPE = re.compile(
    r"\\(?:u(d[89ab][0-9a-f]{2}\\ud[c-f][0-9a-f]{2})|.)", re.IGNORECASE | re.DOTALL
)
# What YAML does not have, and a byte order mark anywhere but at the beginning: libyaml and the API
# server's reader ignore it in different places.
_REFUSED_CHARACTER = re.compile(
    r"[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]|(?!\A)\ufeff"
)


class YamlFile:
    """The one object of a YAML or JSON text; documents without anything in them count for nothing.

    :param text: the YAML.
    :param source: names it in messages.
    :param loader: parses it.
    :raises JobSpecError: it is no YAML that stands for JSON; the message names source and line.
    """

    def __init__(self, text: str, source: str, loader: AnyLoader = FASTEST) -> None:
        self._source = source
        if len(text.encode(errors="replace")) > _LARGEST_FILE:
            raise JobSpecError(f"the job spec {source} is larger than Kubernetes takes: 1 MiB")
        if found := _REFUSED_CHARACTER.search(text):
            line = text.count("\n", 0, found.start()) + 1
            raise JobSpecError(
                f"the job spec {source}:{line} is no YAML: the character U+{ord(found[0]):04X} "
                "stands in no YAML file"
            )
        try:
            reader = loader(_json_as_yaml(text))
            documents = []
            while reader.check_node():
                documents.append(reader.get_node())
            self._node = _only_object(documents, source)
            if self._node is not None:
                _check_nodes(self._node, (), [0])
            content = reader.construct_document(self._node) if self._node else None
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
    def read(cls, path: str | Path) -> YamlFile:
        """Read a file.

        :raises JobSpecError: it cannot be read, or as the constructor does.
        """
        try:
            text = Path(path).read_text(encoding="utf-8")
        except OSError as error:
            raise file_error(path, error) from None
        except UnicodeError:
            raise JobSpecError(f"cannot read the job spec {path}: it is not UTF-8") from None
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


def file_error(path: str | Path, error: OSError) -> JobSpecError:
    """Say why a file cannot be read."""
    kind = (
        JobSpecMissingError
        if isinstance(error, FileNotFoundError | NotADirectoryError)
        else JobSpecError
    )
    return kind(f"cannot read the job spec {path}: {error.strerror}")


def to_yaml(manifest: dict[str, Any]) -> str:
    """Write a manifest as YAML that the API server reads as the same."""
    text: str = yaml.dump(
        manifest, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False
    )
    return text


class _Dumper(Types, yaml.SafeDumper):
    """Write YAML for the API server: with quotes around what it takes for no text."""

    def ignore_aliases(self, data: Any) -> bool:
        """Write what stands in two places twice."""
        return True


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    """Write text of several lines as such, and characters that are not seen by their codes."""
    if not text.replace("\n", "").isprintable():
        return dumper.represent_scalar(STRING, text, style='"')
    return dumper.represent_scalar(STRING, text, style="|" if "\n" in text else None)


_Dumper.add_representer(str, _represent_text)


def _hint(lines: list[str]) -> str:
    if any("{{" in line or "{%" in line for line in lines):
        return " (it is Jinja, and a job spec is not templated: use the operator's arguments)"
    return ""


def _json_as_yaml(text: str) -> str:
    """Return a text that is JSON in the part of JSON that is YAML, and any other as it is.

    Lines stay what they are.
    """
    if not text.lstrip("\ufeff \t\r\n").startswith("{"):
        return text
    try:
        json.loads(text.removeprefix("\ufeff"))
    except (ValueError, RecursionError):
        return text
    # A tab stands between JSON's values, and never within them; YAML's other line breaks within.
    for character in ("\x85", "\u2028", "\u2029"):
        text = text.replace(character, f"\\u{ord(character):04x}")
    return _JSON_ESCAPE.sub(_yaml_escape, text.replace("\t", " "))


def _yaml_escape(escape: re.Match[str]) -> str:
    if escape[1]:
        return json.loads(f'"{escape[0]}"')  # type: ignore[no-any-return]
    return "/" if escape[0] == "\\/" else escape[0]


def _only_object(documents: list[yaml.Node | None], source: str) -> yaml.Node | None:
    """Return the one document that holds something, None where none does."""
    found = [
        node
        for node in documents
        if node is not None and (node.value or not isinstance(node, yaml.ScalarNode))
    ]
    if len(found) < 2:
        return found[0] if found else None
    told = ", ".join(
        f"{printable(_kind_of(node))} in line {node.start_mark.line + 1}" for node in found[:_TOLD]
    )
    more = f" and {len(found) - _TOLD} more" if len(found) > _TOLD else ""
    raise JobSpecError(
        f"the job spec {source} holds {len(found)} objects ({told}{more}): keep the Job alone in a "
        "file of its own, and create the others beforehand"
    )


def _kind_of(node: yaml.Node) -> str:
    kind = _child(node, "kind")
    return kind[1].value if kind and isinstance(kind[1], yaml.ScalarNode) else "something"


def _check_nodes(node: yaml.Node, parents: tuple[yaml.Node, ...], count: list[int]) -> None:
    """Refuse what JSON has not: keys that are no strings, endless aliases."""
    count[0] += 1
    if count[0] > _MOST_NODES:
        raise error_at(node.start_mark, f"it has more than {_MOST_NODES} values, aliases expanded")
    if node in parents:
        raise error_at(node.start_mark, "an alias stands within what it stands for")
    if node.tag == MERGE:
        # It means something as a key only.
        node.tag = STRING
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise error_at(key.start_mark, "a key is no string but a list or a mapping")
            if key.tag not in (STRING, MERGE):
                raise error_at(
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
