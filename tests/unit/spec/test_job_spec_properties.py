"""Whatever a job spec is: it arrives untouched, or is refused with our own error, at once."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from hypothesis import strategies as st

from flowjob.exceptions import JobSpecError
from flowjob.spec.job_spec import FlowContainer, JobSpec
from flowjob.spec.yaml_file import YamlFile, to_yaml
from flowjob.spec.yaml_nodes import FASTEST, AnyLoader, PythonLoader
from tests.support.differences import unexpected_differences
from tests.support.odd_specs import SPECS, count_outcomes, mutated_dicts, mutated_texts, odd_scalars
from tests.unit.test_flow_run import FLOW_RUN

CONTAINER = FlowContainer(
    image="flows:2", command=["python3"], args=["-V"], env={"GREETING": "hello", "NEW": "1"}
)
ACCEPTED, REFUSED = "accepted", "refused"
# Seconds that one spec may take on a busy machine; most take a hundredth.
LONGEST = 10


class HangError(BaseException):
    """A spec took too long; no Exception, so that nothing takes it for an answer."""


@contextmanager
def no_hang() -> Iterator[None]:
    def hang(signal_number: int, frame: FrameType | None) -> None:
        raise HangError(f"a spec took more than {LONGEST} s")

    before = signal.signal(signal.SIGALRM, hang)
    signal.setitimer(signal.ITIMER_REAL, LONGEST)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def arrives_untouched(spec: JobSpec, content: dict[str, Any]) -> None:
    """Check the Job that a spec of this content becomes."""
    before = json.dumps(content)
    first = spec.for_flow_run(FLOW_RUN, CONTAINER, namespace="flows", name=None)
    job = json.loads(json.dumps(first))
    expected = json.loads(before)
    metadata, template = _mapping(expected, "metadata"), expected["spec"]["template"]
    if not metadata.get("labels"):
        # As the API server does it.
        metadata["labels"] = (template.get("metadata") or {}).get("labels")
    pod = template["spec"]
    pod["restartPolicy"] = pod.get("restartPolicy") or "Never"
    assert unexpected_differences(expected, job) == set()
    labels = (job["metadata"]["labels"], job["spec"]["template"]["metadata"]["labels"])
    assert all(FLOW_RUN.labels.items() <= found.items() for found in labels)
    _check_flow_container(pod["containers"][0], job["spec"]["template"]["spec"]["containers"][0])

    # Nothing of it was changed by that: the next flow run begins with the same.
    assert spec.for_flow_run(FLOW_RUN, CONTAINER, namespace="flows", name=None) == first
    assert json.dumps(content) == before


def _mapping(parent: dict[str, Any], key: str) -> dict[str, Any]:
    parent[key] = parent.get(key) or {}
    child: dict[str, Any] = parent[key]
    return child


def _check_flow_container(given: dict[str, Any], found: dict[str, Any]) -> None:
    assert (found["image"], found["command"], found["args"]) == ("flows:2", ["python3"], ["-V"])
    ours = [{"name": name, "value": value} for name, value in CONTAINER.env.items()]
    others = [v for v in given.get("env") or [] if v.get("name") not in CONTAINER.env]
    assert found["env"] == ours + others


def _outcome(load: Callable[[], tuple[JobSpec, Any]]) -> str:
    """Load a spec and say what became of it; anything else than these two fails the test."""
    with no_hang():
        try:
            spec, content = load()
        except JobSpecError as error:
            message = str(error)
            assert message.isprintable(), repr(message)
            # One sentence, and not the spec.
            assert len(message) < 600
            return REFUSED
        arrives_untouched(spec, content)
        return ACCEPTED


def outcome_of_text(text: str) -> str:
    return _outcome(
        lambda: (JobSpec.from_text(text, "spec.yaml"), YamlFile(text, "spec.yaml").content)
    )


def outcome_of_dict(given: dict[Any, Any]) -> str:
    return _outcome(lambda: (JobSpec.from_dict(given), given))


def test_the_specs_to_begin_with_are_valid() -> None:
    assert [outcome_of_text(text) for text in SPECS] == [ACCEPTED] * len(SPECS)


def test_a_mutated_text_arrives_untouched_or_is_refused() -> None:
    outcomes = count_outcomes(mutated_texts(), 2500, outcome_of_text)
    assert min(outcomes[ACCEPTED], outcomes[REFUSED]) > 400


def test_a_mutated_dict_arrives_untouched_or_is_refused() -> None:
    outcomes = count_outcomes(mutated_dicts(), 2000, outcome_of_dict)
    assert min(outcomes[ACCEPTED], outcomes[REFUSED]) > 400


def test_a_file_of_any_bytes_arrives_untouched_or_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "spec.yaml"

    def outcome(content: bytes) -> str:
        file.write_bytes(content)
        return _outcome(lambda: (JobSpec.from_file(file), YamlFile.read(file).content))

    encodings = st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "latin-1"])
    texts = st.builds(
        lambda text, encoding: text.encode(encoding, "replace"), mutated_texts(), encodings
    )
    outcomes = count_outcomes(texts | st.binary(max_size=300), 500, outcome)
    assert min(outcomes[ACCEPTED], outcomes[REFUSED]) > 50


def test_any_text_is_refused_or_is_a_job(tmp_path: Path) -> None:
    # Texts of YAML's own characters nest and name in ways that random ones never do.
    texts = st.text(max_size=200) | st.text("ab:-?[]{}&*!|>'\"%#<,\n\t ~=1.", max_size=200)
    count_outcomes(texts | odd_scalars(), 500, outcome_of_text)


def test_a_text_means_the_same_where_pyyaml_has_no_libyaml() -> None:
    def content(text: str, loader: AnyLoader) -> str:
        try:
            return json.dumps(YamlFile(text, "x", loader).content)
        except JobSpecError:
            return REFUSED

    def outcome(text: str) -> str:
        fastest, python = content(text, FASTEST), content(text, PythonLoader)
        if fastest != python:
            # PyYAML's own parser takes fewer tabs; nothing means one thing to it and another here.
            assert REFUSED in (fastest, python)
            return "refused by one"
        return REFUSED if fastest == REFUSED else ACCEPTED

    texts = mutated_texts() | odd_scalars() | st.text("ab:-?[]{}&*!|>'\"%#<,\n\t ~=1.\ufeff\r\x85")
    outcomes = count_outcomes(texts, 1000, outcome)
    assert min(outcomes[ACCEPTED], outcomes[REFUSED]) > 10 * outcomes["refused by one"]


def test_what_is_written_as_yaml_is_read_as_the_same() -> None:
    def outcome(text: str) -> str:
        manifest = {"a": [text], text: "b"}
        assert YamlFile(to_yaml(manifest), "x").content == manifest
        return ACCEPTED

    # A lone surrogate is no text.
    texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=100)
    count_outcomes(texts | odd_scalars() | st.sampled_from(SPECS), 500, outcome)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000,
        "a: " * 100_000,
        "- " * 100_000,
        "{a: " * 50_000,
        "&a " * 50_000,
        "'" + "x\n" * 100_000,
        "? " * 50_000,
        "!" * 100_000,
        "a: &a [" + "*a, " * 20_000 + "]",
        "x: " + "9" * 5000,
        "x: 0x" + "f" * 100_000,
        "x: [" + "1, " * 300_000 + "]",
        "\n".join(f"k{n}: v" for n in range(80_000)),
        "a: '" + "x " * 400_000 + "'",
        "\n".join(f"k{n}: &k{n} {{<<: [*k{n - 1}, *k{n - 1}]}}" for n in range(1, 40)),
        "k0: &k0 {a: b}\n"
        + "\n".join(f"k{n}: &k{n} {{<<: [*k{n - 1}, *k{n - 1}]}}" for n in range(1, 40)),
    ],
    ids=lambda text: repr(text[:20]),
)
def test_a_text_made_to_hang_a_reader_is_refused_at_once(text: str) -> None:
    assert outcome_of_text(text) == REFUSED
