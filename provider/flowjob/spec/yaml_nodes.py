"""Parse YAML text to its nodes, which know their lines, and to what the API server reads in them.

libyaml parses where PyYAML has it: it is the ancestor of the API server's reader and takes a fifth
of the time. Pure: no Airflow, no Kubernetes client.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import yaml
from yaml.composer import Composer, ComposerError
from yaml.constructor import SafeConstructor
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from yaml.parser import Parser
from yaml.reader import Reader
from yaml.resolver import Resolver
from yaml.scanner import Scanner

from flowjob.spec.json_values import printable
from flowjob.spec.yaml_scalars import read_plain

# Fields and values that may stand in a file: reading takes a second or so for these in Python, and
# a Job has less than a hundred.
_MOST_WRITTEN = 10_000
_TAG = "tag:yaml.org,2002:"
STRING, MERGE, _NULL = f"{_TAG}str", f"{_TAG}merge", f"{_TAG}null"
_COLLECTIONS: dict[type[Node], str] = {MappingNode: f"{_TAG}map", SequenceNode: f"{_TAG}seq"}
# The tags that the API server reads as we do, whatever they stand at.
_WRITTEN_TAGS = {STRING, *_COLLECTIONS.values()}


def error_at(mark: yaml.Mark, problem: str) -> yaml.MarkedYAMLError:
    """Make an error as PyYAML raises it."""
    return ComposerError(None, None, problem, mark)


class Types:
    """Tells the type of a value that is written without quotes, as the API server does."""

    def resolve(self, kind: type[Node], value: Any, implicit: Any) -> str:
        """Tell it (PyYAML calls this, of a reader and of a writer)."""
        if kind is not ScalarNode:
            return _COLLECTIONS[kind]
        if not implicit[0]:
            return STRING
        if value == "<<":
            return MERGE
        found = read_plain(value)
        return _NULL if found is None else f"{_TAG}{type(found).__name__}"


class _Loader(Types, Composer, SafeConstructor, Resolver):
    """Read YAML as the API server does: its scalars are read there, and a key stands once.

    A subclass brings the parser.
    """

    def __init__(self) -> None:
        Composer.__init__(self)
        SafeConstructor.__init__(self)
        Resolver.__init__(self)
        self._written = 0

    def compose_node(self, parent: Node | None, index: Any) -> Node | None:
        """Refuse tags that the API server and this reader may understand differently."""
        event = self.peek_event()  # type: ignore[attr-defined]
        self._written += 1
        if self._written > _MOST_WRITTEN:
            raise error_at(event.start_mark, f"it has more than {_MOST_WRITTEN} values")
        tag = getattr(event, "tag", None)
        if tag is not None and tag not in _WRITTEN_TAGS:
            shown = printable(tag.replace(_TAG, "!!"))
            raise error_at(
                event.start_mark, f"JSON has no tag '{shown}': write the value without it"
            )
        return super().compose_node(parent, index)

    def compose_mapping_node(self, anchor: Any) -> MappingNode:
        """Refuse a second key of the same name, which YAML would let win silently."""
        node = super().compose_mapping_node(anchor)
        seen: set[str] = set()
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                continue
            if key.value in seen:
                raise error_at(
                    key.start_mark, f"the key '{printable(key.value)}' stands twice in one mapping"
                )
            if key.tag == MERGE and seen & _keys_to_merge(value):
                # YAML lets them win, the API server those that it merges in.
                raise error_at(
                    key.start_mark, "what << merges in stands before it already: put << first"
                )
            seen.add(key.value)
        return node

    def construct_plain(self, node: ScalarNode) -> Any:
        """Make what ``resolve`` told the type of."""
        return read_plain(node.value)


for _type in ("int", "float", "bool", "null"):
    _Loader.add_constructor(  # type: ignore[type-var]
        f"{_TAG}{_type}", _Loader.construct_plain
    )


class PythonLoader(_Loader, Reader, Scanner, Parser):
    """Parse with PyYAML's own parser, which each PyYAML has."""

    def __init__(self, text: str) -> None:
        Reader.__init__(self, text)
        Scanner.__init__(self)
        Parser.__init__(self)
        super().__init__()


AnyLoader = Callable[[str], _Loader]

try:
    from yaml.cyaml import CParser  # type: ignore[attr-defined]
except ImportError:
    FASTEST: AnyLoader = PythonLoader
else:

    class LibyamlLoader(_Loader, CParser):
        """Parse with libyaml."""

        def __init__(self, text: str) -> None:
            CParser.__init__(self, text)
            super().__init__()

    FASTEST = LibyamlLoader


def _keys_to_merge(node: Node) -> set[str]:
    """Return the keys that ``<<`` takes from its value, a mapping or a list of mappings."""
    keys: set[str] = set()
    waiting, known = [node], {id(node)}
    while waiting:
        node = waiting.pop()
        children: list[Node] = []
        if isinstance(node, SequenceNode):
            children = node.value
        elif isinstance(node, MappingNode):
            keys |= {key.value for key, _ in node.value if isinstance(key, ScalarNode)}
            children = [value for key, value in node.value if key.tag == MERGE]
        new = [child for child in children if id(child) not in known]
        known |= {id(child) for child in new}
        waiting += new
    return keys - {"<<"}
