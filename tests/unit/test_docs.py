"""The documentation builds, what it shows is tested, and what it lists is what the code has."""

from __future__ import annotations

import ast
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from airflow.sdk.definitions._internal.contextmanager import DagContext

from flowjob import exceptions, flow_run
from flowjob.status import diagnosis
from flowjob.worker import run_links, xcom

CHECKOUT = Path(__file__).parents[2]
DOCS = CHECKOUT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), CHECKOUT / "README.md"])
EXAMPLES = sorted((DOCS / "examples").glob("*.py"))
BLOCK = re.compile(r"^```(\S*).*?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# What Sphinx itself puts in place of the block.
DIRECTIVES = {"{literalinclude}", "{include}", "{toctree}", "{eval-rst}", "{image}"}


def name_of(page: Path) -> str:
    return str(page.relative_to(CHECKOUT))


def text_of(page: str) -> str:
    return (DOCS / page).read_text()


# --- what the pages show ------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_what_a_page_shows_is_a_file_that_is_tested(page: Path) -> None:
    for language, shown in BLOCK.findall(page.read_text()):
        if language == "sh":
            check_commands(shown)
        elif page.name == "README.md":
            assert is_part_of_an_example(shown), shown
        else:
            assert language in DIRECTIVES, f"include a file in place of: {shown}"


def check_commands(shown: str) -> None:
    targets = re.findall(r"^([a-z-]+):", (CHECKOUT / "Makefile").read_text(), re.MULTILINE)
    for line in shown.splitlines():
        program, *arguments = line.split()
        assert program in {"make", "pip", "flowjob", "airflow", "docker"}, line
        if program == "make":
            assert arguments[0] in targets, line
        if program == "flowjob":
            assert arguments[0] in {"check", "render"}, line


def is_part_of_an_example(shown: str) -> bool:
    lines = [line.strip() for line in shown.splitlines() if line.strip()]
    files = [*(CHECKOUT / "dags").glob("*.py"), *EXAMPLES]
    return any("\n".join(lines) in plain(file.read_text()) for file in files)


def plain(text: str) -> str:
    return "\n".join(line.strip() for line in text.splitlines() if line.strip())


@pytest.mark.parametrize("file", EXAMPLES, ids=lambda file: file.stem)
def test_an_example_of_the_pages_is_a_dag_whose_specs_are_right(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(DagContext, "autoregistered_dags", set())
    monkeypatch.setattr(DagContext, "current_autoregister_module_name", __name__)
    runpy.run_path(str(file))
    assert DagContext.autoregistered_dags
    for dag, _ in DagContext.autoregistered_dags:
        dag.fileloc = str(file)
        dag.resolve_template_files()  # type: ignore[no-untyped-call]
        assert dag.tasks


def test_the_other_examples_are_yaml() -> None:
    for file in (DOCS / "examples").glob("*.yaml"):
        assert all(yaml.safe_load_all(file.read_text()))


# --- the site -----------------------------------------------------------------------------------


class Links(HTMLParser):
    """The links of a page, and what can be linked to in it."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.found: list[str] = []
        self.anchors = {""}
        self.feed(page.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.anchors.add(values.get("id") or "")
        for name in ("href", "src"):
            if (target := values.get(name)) is not None:
                self.found.append(target)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html"]
    places = ["-d", str(folder / "doctrees"), str(DOCS), str(folder / "html")]
    done = subprocess.run([*command, *places], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "html"


def test_the_documentation_builds_without_a_warning_and_has_no_dead_link_inside(site: Path) -> None:
    pages = {page: Links(page) for page in site.rglob("*.html")}
    assert len(pages) > 20
    for page, links in pages.items():
        for target in links.found:
            parts = urlsplit(target)
            if parts.scheme or parts.netloc:
                continue
            file = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            assert file.is_file(), f"{page.name}: {target}"
            if file in pages:
                assert unquote(parts.fragment) in pages[file].anchors, f"{page.name}: {target}"


def test_the_readme_links_to_what_is_there() -> None:
    for target in re.findall(r"\]\(([^)#]+)[^)]*\)", (CHECKOUT / "README.md").read_text()):
        assert (CHECKOUT / target).is_file(), target


def test_no_page_asks_another_host_for_what_it_shows(site: Path) -> None:
    for page in site.rglob("*.html"):
        text = page.read_text()
        assert not re.findall(r'<(?:script|img|iframe)[^>]+src="(?:https?:)?//[^"]*"', text)
        assert not re.findall(r'<link[^>]+stylesheet[^>]+href="(?:https?:)?//[^"]*"', text)


# --- what the pages list ------------------------------------------------------------------------


def test_each_error_is_explained() -> None:
    page = text_of("troubleshooting.md")
    for name, value in vars(exceptions).items():
        if isinstance(value, type) and issubclass(value, exceptions.FlowJobError):
            assert f"| `{name}` |" in page or value is exceptions.FlowJobError


def reasons() -> Iterator[str]:
    """Yield each reason that this package gives of its own."""
    for file in (CHECKOUT / "provider").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if not (isinstance(node, ast.Call) and isinstance(node.func, ast.Name)):
                continue
            values = {"Diagnosis": node.args[:1], "Outcome": node.args[1:2]}.get(node.func.id, [])
            values = [*values, *(key.value for key in node.keywords if key.arg == "reason")]
            for value in values:
                if isinstance(value, ast.Constant) and isinstance(value.value, str):
                    yield value.value


def test_each_reason_of_our_own_is_explained() -> None:
    page, found = text_of("troubleshooting.md"), set(reasons())
    assert {"NotStarted", "JobDeleted", "DeadlineExceeded"} <= found
    for reason in found:
        assert f"`{reason}`" in page, reason


def test_each_remedy_is_listed() -> None:
    page = text_of("troubleshooting.md")
    for _, remedy in diagnosis._REMEDIES:
        assert f"| {remedy} |" in page, remedy


def test_each_xcom_annotation_and_label_is_listed() -> None:
    page = text_of("reference/names.md")
    for key in xcom.OWN_KEYS:
        assert f"`{key}`" in page, key
    for label in (flow_run.IDENTIFIER_LABEL, flow_run.FLOW_RUN_ID_LABEL):
        assert f"| `{label}` |" in page
    run = flow_run.FlowRun(
        flow_run_id="id",
        task_instance=flow_run.TaskInstanceKey("dag", "run", "task"),
        airflow="airflow",
        try_number=1,
        max_tries=0,
        dag_run_start="",
    )
    own = {flow_run.ANNOTATION_PREFIX + name for name in (flow_run.ON_FINISH, flow_run.REMOTE_RUN)}
    for name in own | run.annotations.keys():
        assert f"`{name}`" in page, name


def test_each_setting_is_listed() -> None:
    page = text_of("reference/names.md")
    source = "".join(file.read_text() for file in (CHECKOUT / "provider").rglob("*.py"))
    found = re.findall(r'conf\.get\w*\(\s*"flowjob", "(\w+)"', source)
    assert found
    for name in (*found, *run_links.SETTINGS.values()):
        assert f"`[flowjob] {name}`" in page, name
