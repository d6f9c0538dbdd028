"""The rows that were measured, as they are kept, and the documentation that is made of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.bench import tables
from tests.bench.goals import verdicts
from tests.bench.plot import plot
from tests.bench.result import KeptRow, from_json, to_json
from tests.bench.row import Row

TABLES, PLOT, RESULTS = "tables.md", tables.PLOT, "results"


class NotKeptError(RuntimeError):
    """Says which row was not measured as it is to be, so that there is no page to write."""


class Kept:
    """A folder with a file of JSON for each row.

    :param rows: all rows, in the order in which they are told.
    """

    def __init__(self, folder: Path, rows: Sequence[Row]) -> None:
        self._folder, self._rows = folder, rows

    def keep(self, row: KeptRow) -> None:
        """Keep a row in place of what was measured of it before."""
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / f"{row.row}.json").write_text(to_json(row))

    def read(self) -> list[tuple[str, KeptRow]]:
        """Return all rows with their titles.

        :raises NotKeptError: one of them is missing.
        """
        found = []
        for row in self._rows:
            file = self._folder / f"{row.name}.json"
            if not file.exists():
                raise NotKeptError(
                    f"The row {row.name} is not kept in {self._folder}; measure it: "
                    f"make bench ROWS={row.name}"
                )
            found.append((row.title, from_json(file.read_text())))
        return found

    def write(self, folder: Path) -> None:
        """Write page and plot into the folder, and beside them what they were made of.

        :raises NotKeptError: a row is missing, or is a trial's.
        """
        rows = self.read()
        for _, kept in rows:
            if kept.setting.is_quick:
                raise NotKeptError(
                    f"The row {kept.row} in {self._folder} is of a trial of few samples; measure "
                    f"it: make bench ROWS={kept.row}"
                )
        found = [
            verdict
            for _, kept in rows
            for measure in kept.result.measures
            for verdict in verdicts(measure)
        ]
        results = folder / RESULTS
        results.mkdir(parents=True, exist_ok=True)
        (folder / TABLES).write_text(tables.page(rows))
        (folder / PLOT).write_text(plot(found))
        for _, kept in rows:
            (results / f"{kept.row}.json").write_text(to_json(kept))
