"""One command from MLflow records to a page, a Markdown file, numbers and figures.

The same records give the same bytes: nothing written depends on the clock, on paths or on the order in which
a store answers. ::

    <out>/report.html      everything, self-contained
    <out>/report.md        the same, with the figures beside it
    <out>/table.csv, trials.csv, effects.csv, slices.csv, own_metrics.csv, search.csv, each also as .parquet
    <out>/table.tex
    <out>/figures/*.png, *.svg

``publish`` writes what belongs into a repository: README.md, the pictures and the CSV files.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pandas as pd

from paraformer_analysis import display, names, narrative, palette
from paraformer_analysis.deviations import Deviation
from paraformer_analysis.display_search import search_grid
from paraformer_analysis.effects import Effects, sweep_effects
from paraformer_analysis.history import History, search_history
from paraformer_analysis.latex import latex_table
from paraformer_analysis.numbers import (
    effect_numbers,
    history_numbers,
    numbers,
    own_metric_numbers,
    slice_numbers,
    trial_numbers,
)
from paraformer_analysis.own_metrics import OwnMetric, build_own_metrics
from paraformer_analysis.page import markdown, page
from paraformer_analysis.pictures import Picture, curve_pictures, search_pictures, table_pictures
from paraformer_analysis.records import Records, read_pair, read_sweep
from paraformer_analysis.slices import Slice, build_slices
from paraformer_analysis.stages import compared, searched
from paraformer_analysis.store import TrackingStore
from paraformer_analysis.table import AblationTable, build_table
from paraformer_analysis.verdicts import Sentence, answer


@dataclass(frozen=True)
class Report:
    """A report, ready to be written."""

    records: Records
    """Everything that was read."""
    shown: Records
    """What the table is made of; of a search the trials from fresh seeds."""
    table: AblationTable
    comparable: bool
    """Whether the table may be shown: not that of a search of which nothing is confirmed."""
    effects: Effects | None
    slices: tuple[Slice, ...]
    slice_notes: tuple[Deviation, ...]
    own_metrics: tuple[OwnMetric, ...]
    history: History | None
    """What a search did; None for other sweeps."""
    uri: str

    @property
    def title(self) -> str:
        """Name of the sweep."""
        return self.records.design.name

    @cached_property
    def sentences(self) -> list[Sentence]:
        """What the table says, sentence by sentence."""
        said = answer(self.table) if self.comparable else []
        if self.history:
            return narrative.searched_answer(self.records, self.history, said)
        if self.effects:
            return narrative.factorial_answer(self.effects, self.shown.design.options, said)
        return said

    @property
    def answer(self) -> str:
        """What the table says, in a sentence or two."""
        return " ".join(sentence.text for sentence in self.sentences)

    @property
    def tries_are_compared(self) -> bool:
        """Whether the search's own trials make the table."""
        return self.comparable and not any(cell.stage for cell in self.shown.design.cells)

    @cached_property
    def main_grid(self) -> display.Grid:
        """The table as printed; what was tried, where nothing may be compared yet."""
        if not self.comparable and self.history is not None:
            return search_grid(self.history)
        return display.main_grid(self.table)

    @cached_property
    def numbers(self) -> pd.DataFrame:
        """Every number of the table, one row per variant."""
        return self.frames["table" if self.comparable else "search"]

    @cached_property
    def frames(self) -> dict[str, pd.DataFrame]:
        """Every number of the report, unrounded, as flat frames by name."""
        found: dict[str, pd.DataFrame] = {}
        if self.comparable:
            found["table"] = numbers(self.table, self.shown)
        found["trials"] = trial_numbers(self.records, self.shown if self.comparable else None)
        if self.effects is not None:
            found["effects"] = effect_numbers(self.effects)
        if self.slices:
            found["slices"] = slice_numbers(self.slices)
        if self.own_metrics:
            found["own_metrics"] = own_metric_numbers(self.own_metrics)
        if self.history is not None:
            found["search"] = history_numbers(self.history)
        return found

    @cached_property
    def pictures(self) -> dict[str, Picture]:
        """Figures that these records can fill, by name."""
        drawn: dict[str, Picture] = {}
        if self.history is not None:
            drawn |= search_pictures(self.history)
        if self.comparable:
            return drawn | table_pictures(self.table, self.shown, self.effects, self.slices)
        return drawn | curve_pictures(self.table, self.shown)

    def write(self, folder: Path) -> list[Path]:
        """Write all files of the report and return their paths, the page first."""
        written = {
            "report.html": page(self).encode(),
            "report.md": markdown(self).encode(),
            **self._tables(),
            **{f"{name}.parquet": frame.to_parquet(None, index=False) for name, frame in self.frames.items()},
            **{f"figures/{name}.svg": picture.svg_file.encode() for name, picture in self.pictures.items()},
            **self._images(),
        }
        return _write(folder, written)

    def publish(self, folder: Path) -> list[Path]:
        """Write the report as it is committed to a repository, in place of an older one; README.md first."""
        old = [*folder.glob("figures/*.png"), *folder.glob("*.csv")]
        for path in old:
            path.unlink()
        return _write(folder, {"README.md": markdown(self).encode(), **self._csv(), **self._images()})

    def _tables(self) -> dict[str, bytes]:
        caption = f"{self.title}: {narrative.extent(self.records, self.shown, self.table)}."
        if not self.comparable:
            return self._csv()
        return {**self._csv(), "table.tex": latex_table(self.main_grid, caption, self.title).encode()}

    def _csv(self) -> dict[str, bytes]:
        return {
            f"{name}.csv": frame.to_csv(index=False, lineterminator="\n").encode()
            for name, frame in self.frames.items()
        }

    def _images(self) -> dict[str, bytes]:
        return {
            f"figures/{name}.png": palette.png_bytes(picture.figure)
            for name, picture in self.pictures.items()
        }


def make_report(records: Records, uri: str) -> Report:
    """Do the statistics of a report."""
    may = compared(records)
    shown = searched(records) if may is None else may
    table = build_table(shown)
    found, notes = build_slices(shown, table) if may is not None else ([], [])
    return Report(
        records=records,
        shown=shown,
        table=table,
        comparable=may is not None,
        effects=sweep_effects(shown, table.scores),
        slices=tuple(found),
        slice_notes=tuple(notes),
        own_metrics=tuple(build_own_metrics(shown, table)) if may is not None else (),
        history=search_history(searched(records)) if records.design.searches else None,
        uri=uri,
    )


def report_sweep(uri: str, name: str, out: Path, log: bool = True, publish: Path | None = None) -> Report:
    """Read a sweep, write its report into a folder and log it to the sweep's parent run.

    Args:
        uri: Tracking URI of the MLflow store.
        name: Name of the sweep, or id of its parent run.
        out: Folder to write into.
        log: Whether to upload the report to MLflow, under ``report/``.
        publish: Folder of a repository to write README.md, pictures and CSV files into as well.

    Raises:
        AnalysisError: nothing that a table can be made of; says why.
    """
    store = TrackingStore(uri)
    report = make_report(read_sweep(store, name), uri)
    report.write(out)
    if publish is not None:
        report.publish(publish)
    if log and report.records.parent_run_id:
        store.log_folder(report.records.parent_run_id, out, names.REPORT_FOLDER)
    return report


def report_pair(uri: str, first: str, second: str, out: Path, publish: Path | None = None) -> Report:
    """Compare two trials, the second against the first, and write the report into a folder.

    Raises:
        AnalysisError: a run that is not there or has no results.
    """
    report = make_report(read_pair(TrackingStore(uri), first, second), uri)
    report.write(out)
    if publish is not None:
        report.publish(publish)
    return report


def _write(folder: Path, contents: Mapping[str, bytes]) -> list[Path]:
    (folder / "figures").mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return [folder / name for name in contents]
