"""The bench's tables and plot: made of what is kept alone, so that they can be made again."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.bench import tables
from tests.bench.contenders import JOB, OURS
from tests.bench.goals import verdicts
from tests.bench.keeping import RESULTS, TABLES, Kept, NotKeptError
from tests.bench.plot import plot
from tests.bench.result import Measure, RowResult, from_json, to_json
from tests.bench.row import Row
from tests.bench.rows import ROWS
from tests.unit.bench.shown import kept, seconds

DOCS = Path(__file__).parents[3] / "docs" / "bench"
A_ROW = Row("no_op", "A flow that does nothing", 1)
ANOTHER = Row("minute", "A flow of a minute", 1)


def test_what_is_kept_is_read_again() -> None:
    row = kept("no_op", seconds(5, 20, 10, 3), notes=("`create jobs`.",))
    assert from_json(to_json(row)) == row


def test_a_table_shows_medians_ranges_and_the_floor() -> None:
    measure = Measure("no-op", "s", {OURS.name: (4.0, 5.25, 4.5), JOB.name: (11.9,)}, (2.5,))
    assert tables.table(RowResult((measure,), ("What else.",))) == (
        "|  | floor | `FlowJobOperator` | `KubernetesJobOperator` |\n"
        "| --- | --- | --- | --- |\n"
        "| no-op (s) | 2.50 | 4.50 (4 to 5.25) | 11.9 |\n"
        "\nWhat else."
    )


def test_a_figure_that_one_of_them_lacks_is_left_empty() -> None:
    ours_alone = Measure("waits", "MiB", {OURS.name: (1234.5,)})
    lines = tables.table(RowResult((seconds(1, 2, 3), ours_alone))).splitlines()
    assert lines[-1] == "| waits (MiB) | 1,234 |  |  |"


def test_the_ratios_say_what_is_met_and_what_is_missed() -> None:
    lines = tables.ratios([seconds(5, 20, 10, 3), seconds(9, 20, 10, 3)]).splitlines()
    assert lines[2:] == [
        "| no-op: trigger to success | `FlowJobOperator` | `KubernetesPodOperator` | **0.50** "
        "| 0.29 | 0.5 | met |",
        "| no-op: trigger to success | `FlowJobOperator` | `KubernetesPodOperator` | **0.90** "
        "| 0.86 | 0.5 | missed |",
    ]


def test_what_nobody_else_has_measured_has_no_table_of_ratios() -> None:
    assert tables.ratios([Measure("waits", "MiB", {OURS.name: (1.0,)})]) == ""


def test_a_page_names_the_day_the_machine_and_the_versions() -> None:
    page = tables.page([("A flow that does nothing", kept("no_op", seconds(5, 20, 10, 3)))])
    assert "Measured on 2026-01-31 on a machine of 2 cores, with Airflow 3.3.2." in page
    assert "The rows took 2 minutes." in page
    assert "## A flow that does nothing" in page
    assert "trial" not in page


def test_the_plot_has_a_bar_for_each_ratio_and_hostile_text_stays_text() -> None:
    found = verdicts(seconds(5, 20, 10, 3)) + verdicts(
        Measure("<b> & more", "requests", {OURS.name: (30.0,), JOB.name: (10.0,)})
    )
    picture = ElementTree.fromstring(plot(found))
    bars = picture.findall("{*}rect")
    assert [bar.get("class") for bar in bars] == ["bar", "bar missed"]
    # A ratio of 0.5, and one that is cut at 1.5.
    widths = [float(bar.get("width") or 0) for bar in bars]
    assert widths[1] == 3 * widths[0]
    assert "<b> & more, FlowJobOperator" in [text.text for text in picture.findall("{*}text")]


def test_the_documentation_is_written_of_what_is_kept(tmp_path: Path) -> None:
    keeping = Kept(tmp_path / "kept", [A_ROW, ANOTHER])
    keeping.keep(kept("minute", seconds(64, 70, 66, 62)))
    keeping.keep(kept("no_op", seconds(9, 20, 10, 3)))
    keeping.keep(kept("no_op", seconds(5, 20, 10, 3)))
    keeping.write(tmp_path / "docs")
    page = (tmp_path / "docs" / TABLES).read_text()
    assert page.index(A_ROW.title) < page.index(ANOTHER.title)
    assert "**0.50**" in page
    assert "**0.90**" not in page
    assert (tmp_path / "docs" / tables.PLOT).exists()
    again = Kept(tmp_path / "docs" / RESULTS, [A_ROW, ANOTHER])
    assert tables.page(again.read()) == page


def test_a_row_that_was_not_measured_is_named(tmp_path: Path) -> None:
    keeping = Kept(tmp_path, [A_ROW, ANOTHER])
    keeping.keep(kept("no_op", seconds(5, 20, 10, 3)))
    with pytest.raises(NotKeptError, match=r"make bench ROWS=minute"):
        keeping.write(tmp_path / "docs")


def test_a_trial_is_not_written_for_readers(tmp_path: Path) -> None:
    keeping = Kept(tmp_path, [A_ROW])
    row = kept("no_op", seconds(5, 20, 10, 3))
    keeping.keep(replace(row, setting=replace(row.setting, is_quick=True)))
    with pytest.raises(NotKeptError, match="trial"):
        keeping.write(tmp_path / "docs")
    assert not (tmp_path / "docs").exists()


def test_the_documentations_tables_are_those_of_the_results_beside_them() -> None:
    results = DOCS / RESULTS
    rows = Kept(results, ROWS).read() if results.exists() else []
    assert (DOCS / TABLES).read_text() == tables.page(rows)


def test_all_rows_take_less_than_an_hour_and_each_has_a_name_of_its_own() -> None:
    # Two of them are for the start of node and Airflow.
    assert sum(row.minutes for row in ROWS) < 60 - 2
    assert len({row.name for row in ROWS}) == len(ROWS)
