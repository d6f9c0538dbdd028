"""Job specs by the thousand, right and wrong: valid ones with something odd done to them."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable
from datetime import date
from decimal import Decimal
from typing import Any

import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy

SPECS = [
    """\
apiVersion: batch/v1
kind: Job
metadata:
  name: report
  labels: {team: data}
  annotations:
    owner: "7"
spec:
  backoffLimit: 0
  template:
    spec:
      restartPolicy: Never
      containers:
        - name: flow
          image: flows:1
          command: [sh, -c]
          args: ["echo $(GREETING)"]
          env:
            - name: GREETING
              value: "yes"
            - name: KEY
              valueFrom: {secretKeyRef: {name: s, key: k}}
""",
    """\
apiVersion: batch/v1
kind: Job
metadata:
  generateName: report-
  labels: &labels
    team: data
spec:
  completions: 2
  completionMode: Indexed
  template:
    metadata:
      labels: *labels
    spec:
      restartPolicy: OnFailure
      volumes:
      - name: scratch
        emptyDir: {}
      containers:
      - &container
        name: flow
        image: flows:1
        volumeMounts:
        - {name: scratch, mountPath: /scratch}
      - <<: *container
        name: sidecar
        image: proxy:1
""",
    """\
# The smallest one.
apiVersion: "batch/v1"
kind: Job
spec: {template: {spec: {containers: [{name: flow, image: ""}], restartPolicy: Never}}}
""",
    """\
kind: Job
apiVersion: batch/v1
metadata:
  name: report
  namespace: flows
  annotations:
    text: |
      two
       lines
    folded: >-
      one
      line
spec:
  ttlSecondsAfterFinished: 3600
  suspend: false
  template:
    spec:
      restartPolicy: Never
      nodeSelector: {disk: ssd}
      initContainers:
      - {name: first, image: "i:1", command: ["true"]}
      containers:
      - name: flow
        image: flows:1
        resources: {limits: {cpu: 0.5, memory: 1e9}}
        livenessProbe: {httpGet: {port: 8080, path: /}}
        terminationMessagePath: /result
""",
]

# Values that YAML 1.1, YAML 1.2, PyYAML and Go's reader take for different things.
_WORDS = """
1:30 1:30:00 190:20:30.15 y Y n N yes Yes YES yEs on On ON off oFF true True TRUE tRUE false 1e3
1E3 1e+3 1.5e3 1.e3 .5 5. .5e1 ._5 +1 -0 +1.5 0o12 0O12 0o19 012 089 0x1F 0X1F 0xZZ 0b101 0B101
-0b1 -0x1f 1_000 1_000.5 0_1 _1 1__0 1_ = << ~ null Null NULL nULL .inf -.Inf .INF +.inf .nan
.NaN -.nan 2001-01-01 2001-12-14t21:59:43.10-05:00 123456789012345678901234567890
18446744073709551615 9223372036854775808 -9223372036854775809 1e400 1.0 1.50 0.1 -1 --1 +-1 0 00
0.0 -0.0 1e-7 1e21 1.5e+3 1e5.5 inf nan Infinity 0x1p4 1p4 +0x1F +012 -012 1,000 0777 0888 0b2
0b 0x 0o . + - e3 .e3 1e 1.2.3 1.10 x:y x#y
"""
ODD_SCALARS = [
    *_WORDS.split(),
    *('""', "''", '"\\x00"', '"\\ud800"', '"\\/"', "|", ">-", "", "2001-01-01 10:00:00"),
    *("!!str", "!!str 12", "!!str ~", '!!int "12"', "!!int ''", "!!float 1", "!!bool yes"),
    *("!!bool x", "!!null x", "!!binary aGk=", "!foo x", "! x", "! 12", "!!int 1:30"),
    *("!!timestamp 2001-01-01", "!!python/object:os.system x", "!!python/name:os.system"),
    *("!!map x", "!!str [a]", "!!seq {}", "!!set {a}", "!!omap [a: b]", "!!merge x", "!%0A x"),
    *("{}", "[]", "[a, {b: c}]", "{a: b}", "{a:1}", "{? a}", "{[a]: b}", "{<<: {a: b}, c: d}"),
    *("{c: d, <<: {a: b}}", "{a: c, <<: {a: b}}", "{<<: [{a: b}, {a: c}]}", "{<<: ~}", "{y: x}"),
    *("{1: x}", "{~: x}", "{a: b, a: c}", "*labels", "*container", "*nowhere", "&new x", "&a [*a]"),
    *("@x", "`x", "%x", "a: b: c", "- - x", "? x", "[a", "{a: b", "'x", '"x', "a\tb", "\tx", "# x"),
]
_ODD_LINES = [
    *(
        "---",
        "...",
        "--- x",
        "%YAML 1.2",
        "%FOO 1",
        "<<: *labels",
        "<<: *container",
        "  <<: {a: b}",
    ),
    *(
        "- x",
        "key: value",
        "? complex",
        ": x",
        "\tkey: value",
        "# a comment",
        "",
        "x",
        "*labels",
        "}",
    ),
    *("labels: {a: y}", "name: report", "kind: Job", "metadata:", "spec:", "restartPolicy: ~"),
]
_ODD_CHARACTERS = (
    "\t\n\r\0\x07\x1b\x7f\x85\xa0\u2028\ufeff\ufffe\U0001f600é\"'{}[]:,-?*&!|>%@`#\\<~= ud"
)

Lines = list[str]


def _position(draw: DrawFn, lines: Lines) -> int:
    return draw(st.integers(0, max(len(lines) - 1, 0)))


def _delete(draw: DrawFn, lines: Lines) -> None:
    if lines:
        del lines[_position(draw, lines)]


def _insert(draw: DrawFn, lines: Lines) -> None:
    indentation = " " * draw(st.integers(0, 14))
    lines.insert(_position(draw, lines), indentation + draw(st.sampled_from(_ODD_LINES)))


def _duplicate(draw: DrawFn, lines: Lines) -> None:
    if lines:
        lines.insert(_position(draw, lines), lines[_position(draw, lines)])


def _swap(draw: DrawFn, lines: Lines) -> None:
    if lines:
        one, other = _position(draw, lines), _position(draw, lines)
        lines[one], lines[other] = lines[other], lines[one]


def _indent(draw: DrawFn, lines: Lines) -> None:
    if lines:
        at = _position(draw, lines)
        lines[at] = draw(st.sampled_from(["", " ", "  ", "\t", "      "])) + lines[at].lstrip()


def _replace_scalar(draw: DrawFn, lines: Lines) -> None:
    at = _position(draw, lines)
    for separator in (": ", "- "):
        if lines and separator in lines[at]:
            lines[at] = lines[at].split(separator)[0] + separator + draw(odd_scalars())
            return


def _mark(draw: DrawFn, lines: Lines) -> None:
    at = _position(draw, lines)
    if lines and ": " in lines[at]:
        mark = draw(st.sampled_from(["&anchor ", "*anchor ", "!!str ", "!!int ", "! ", "&labels "]))
        lines[at] = lines[at].replace(": ", f": {mark}", 1)


def _insert_character(draw: DrawFn, lines: Lines) -> None:
    if lines:
        at = _position(draw, lines)
        column = draw(st.integers(0, len(lines[at])))
        character = draw(st.sampled_from(_ODD_CHARACTERS))
        lines[at] = lines[at][:column] + character + lines[at][column:]


def _truncate(draw: DrawFn, lines: Lines) -> None:
    del lines[_position(draw, lines) :]


_LINE_MUTATIONS: list[Callable[[DrawFn, Lines], None]] = [
    *(_replace_scalar, _replace_scalar, _replace_scalar),
    *(_delete, _insert, _duplicate, _swap, _indent, _mark, _insert_character, _truncate),
]


def odd_scalars() -> SearchStrategy[str]:
    return st.sampled_from(ODD_SCALARS)


@st.composite
def mutated_texts(draw: DrawFn) -> str:
    """A valid spec's text with up to three things done to it."""
    lines = draw(st.sampled_from(SPECS)).splitlines()
    for _ in range(draw(st.sampled_from([0, 1, 1, 1, 2, 3]))):
        draw(st.sampled_from(_LINE_MUTATIONS))(draw, lines)
    return "\n".join(lines) + "\n"


def annotated(scalar: str) -> str:
    """A valid spec with this as an annotation, where the API server takes strings only."""
    return SPECS[0].replace('owner: "7"', f"owner: {scalar}")


def _odd_values() -> SearchStrategy[Any]:
    json_values = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
        lambda children: (
            st.lists(children, max_size=3)
            | st.dictionaries(st.text(max_size=5), children, max_size=3)
        ),
        max_leaves=5,
    )
    no_json = st.sampled_from(
        [date(2001, 1, 1), b"x", object(), {1, 2}, Decimal(1), 10**30, "\ud800", {1: "x"}, int]
    )
    familiar = st.sampled_from(
        ["", "report", "Job", "x" * 300, "a\nb", "a.b[c]", 0, -1, 1, True, [], {}, [{}], [None]]
    )
    return json_values | no_json | familiar | st.builds(_deep) | st.builds(_endless) | _tuples()


def _tuples() -> SearchStrategy[Any]:
    return st.tuples(st.text(max_size=5), st.integers())


def _deep() -> Any:
    value: Any = []
    for _ in range(2000):
        value = [value]
    return value


def _endless() -> Any:
    value: list[Any] = []
    value.append(value)
    return value


def _places(node: Any) -> list[tuple[Any, Any]]:
    """Every (parent, key) of a tree."""
    keys = list(node) if isinstance(node, dict) else []
    keys = list(range(len(node))) if isinstance(node, list) else keys
    below = [place for key in keys for place in _places(node[key])]
    return [(node, key) for key in keys] + below


@st.composite
def mutated_dicts(draw: DrawFn) -> dict[Any, Any]:
    """A valid spec as a dict with up to three of its nodes replaced, deleted, renamed, shared."""
    tree: dict[Any, Any] = yaml.safe_load(draw(st.sampled_from(SPECS)))
    # What stands in two places of the first spec by alias does so here by a shared dict.
    tree = tree if draw(st.booleans()) else copy.deepcopy(tree)
    mutations = draw(st.integers(0, 3))
    # All places are found before one of them gets a value without an end.
    places = _places(tree)
    for _ in range(mutations):
        parent, key = draw(st.sampled_from(places))
        if isinstance(parent, list):
            if key < len(parent):
                _mutate_item(draw, parent, key)
        elif key in parent:
            _mutate_field(draw, parent, key, places)
    return tree


def _mutate_item(draw: DrawFn, parent: list[Any], index: int) -> None:
    match draw(st.sampled_from(["replace", "delete", "duplicate"])):
        case "replace":
            parent[index] = draw(_odd_values())
        case "delete":
            del parent[index]
        case _:
            parent.append(parent[index])


def _mutate_field(draw: DrawFn, parent: dict[Any, Any], key: Any, places: Any) -> None:
    match draw(st.sampled_from(["replace", "replace", "delete", "rename", "share"])):
        case "replace":
            parent[key] = draw(_odd_values())
        case "delete":
            del parent[key]
        case "rename":
            parent[draw(st.sampled_from(["", "x", "name", "a\nb", "a[0]", 1, None, key * 2]))] = (
                parent.pop(key)
            )
        case _:
            source, name = draw(st.sampled_from(places))
            if name in source if isinstance(source, dict) else name < len(source):
                parent[key] = source[name]


def count_outcomes(
    strategy: SearchStrategy[Any], cases: int, outcome: Callable[[Any], str]
) -> Counter[str]:
    """Try so many cases, the same ones in each run, and count what became of them."""
    outcomes: Counter[str] = Counter()

    # `derandomize`: a failure in CI is the failure of every other run.
    @settings(
        max_examples=cases,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(strategy)
    def case(value: Any) -> None:
        outcomes[outcome(value)] += 1

    case()
    print(f"{outcomes.total()} cases: {dict(outcomes)}")
    assert outcomes.total() >= cases
    return outcomes
