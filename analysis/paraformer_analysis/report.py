"""One command from MLflow records to a page, a Markdown file, numbers and figures.

The same records give the same bytes: nothing written depends on the clock, on paths or on the order in which
a store answers. ::

    <out>/report.html      everything, self-contained
    <out>/report.md        the same, with the figures beside it
    <out>/table.csv, table.tex, numbers.parquet
    <out>/figures/*.png, *.svg
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup
from matplotlib.figure import Figure

from paraformer_analysis import display, figures, names, narrative, palette
from paraformer_analysis.design import Variant
from paraformer_analysis.effects import Effects, sweep_effects
from paraformer_analysis.importances import importances
from paraformer_analysis.latex import latex_table
from paraformer_analysis.numbers import numbers
from paraformer_analysis.records import Records, read_pair, read_sweep
from paraformer_analysis.store import TrackingStore
from paraformer_analysis.table import AblationTable, build_table
from paraformer_analysis.verdicts import answer
from paraformer_analysis.worst import worst_utterances

LOCAL_SERVER = "http://127.0.0.1:5000"
"""Where MLflow's own page of a store without a server is found, once it is started."""


@dataclass(frozen=True)
class Picture:
    """One figure of a report."""

    figure: Figure
    caption: str

    @cached_property
    def svg_file(self) -> str:
        """The figure as an SVG file of its own."""
        return palette.svg_text(self.figure)


@dataclass(frozen=True)
class Report:
    """A report, ready to be written."""

    records: Records
    table: AblationTable
    effects: Effects | None
    uri: str

    @property
    def title(self) -> str:
        """Name of the sweep."""
        return self.records.design.name

    @property
    def answer(self) -> str:
        """What the table says, in a sentence or two."""
        return answer(self.table)

    @cached_property
    def main_grid(self) -> display.Grid:
        """The table as printed."""
        return display.main_grid(self.table)

    @cached_property
    def numbers(self) -> pd.DataFrame:
        """Every number, one row per variant."""
        return numbers(self.table, self.records)

    @cached_property
    def pictures(self) -> dict[str, Picture]:
        """Figures that these records can fill, by name."""
        rate = self.records.design.rate
        drawn = {
            "forest": (
                figures.forest(self.table),
                self._forest_caption(),
            ),
            "main_effects": (figures.main_effects(self.effects) if self.effects else None, "Main effects."),
            "interactions": (
                figures.interactions(self.effects) if self.effects else None,
                "Interactions, the surest first: lines that are not parallel.",
            ),
            "learning_curves": (
                figures.learning_curves(self.table, self.records.curves, rate),
                "Learning curves: mean over seeds, band from lowest to highest seed; pale: the baseline.",
            ),
            "pareto": (figures.pareto(self.table), "Error against cost. Filled: nobody is better at both."),
            "error_types": (figures.error_types(self.table), "Kinds of errors."),
        }
        return {
            name: Picture(figure, caption) for name, (figure, caption) in drawn.items() if figure is not None
        }

    def _forest_caption(self) -> str:
        margin = " Grey: the equivalence margin." if self.table.options.equivalence_margin is not None else ""
        return f"Difference to the baseline with its {self.table.confidence} interval.{margin}"

    def write(self, folder: Path) -> list[Path]:
        """Write all files of the report and return their paths, the page first."""
        (folder / "figures").mkdir(parents=True, exist_ok=True)
        context = self._context()

        caption = f"{self.title}: {narrative.extent(self.records, self.table)}."

        written = {
            "report.html": _render("report.html.j2", context).encode(),
            "report.md": _render("report.md.j2", context).encode(),
            "table.csv": self.numbers.to_csv(index=False, lineterminator="\n").encode(),
            "table.tex": latex_table(self.main_grid, caption, self.title).encode(),
            "numbers.parquet": self.numbers.to_parquet(None, index=False),
        }
        for name, picture in self.pictures.items():
            written[f"figures/{name}.svg"] = picture.svg_file.encode()
            written[f"figures/{name}.png"] = palette.png_bytes(picture.figure)
        for name, content in written.items():
            (folder / name).write_bytes(content)
        return [folder / name for name in written]

    def _context(self) -> dict[str, Any]:
        records, table = self.records, self.table
        return {
            "title": self.title,
            "kind": narrative.kind(records),
            "question": records.design.hypothesis,
            "answer": self.answer,
            "extent": narrative.extent(records, table),
            "main": self.main_grid,
            "errors": display.error_grid(table),
            "costs": display.cost_grid(table),
            "power": display.power_grid(table),
            "factor_grids": [display.effect_grid(self.effects)] if self.effects else [],
            "importances": _search_importances(records, table),
            "changes": [(row.variant, row.changes) for row in table.rows if row.changes],
            "deviations": table.deviations,
            "examples": worst_utterances(records),
            "method": narrative.method(records, table),
            "reproduction": narrative.reproduction(records),
            "runs": self._runs(),
            "figures": {
                name: {
                    "caption": picture.caption,
                    "svg": palette.inline_svg(picture.svg_file, name, picture.caption),
                }
                for name, picture in self.pictures.items()
            },
            "css": _template_text("report.css"),
            "script": _template_text("report.js"),
        }

    def _runs(self) -> list[dict[str, str]]:
        server = self.uri if self.uri.startswith("http") else LOCAL_SERVER
        place = f"{server}/#/experiments/{self.records.experiment_id}/runs"
        found = (
            self.records.runs.reindex(columns=["variant", "seed", "state", "run_id"]).fillna("").astype(str)
        )
        return [
            {
                "label": f"{run['variant']}, seed {run['seed']}",
                "state": run["state"],
                "id": run["run_id"],
                "link": f"{place}/{run['run_id']}" if run["run_id"] else "",
            }
            for run in found.to_dict("records")
        ]


def make_report(records: Records, uri: str) -> Report:
    """Do the statistics of a report."""
    table = build_table(records)
    return Report(records, table, sweep_effects(records, table.scores), uri)


def report_sweep(uri: str, name: str, out: Path, log: bool = True) -> Report:
    """Read a sweep, write its report into a folder and log it to the sweep's parent run.

    Args:
        uri: Tracking URI of the MLflow store.
        name: Name of the sweep, or id of its parent run.
        out: Folder to write into.
        log: Whether to upload the report to MLflow, under ``report/``.

    Raises:
        AnalysisError: nothing that a table can be made of; says why.
    """
    store = TrackingStore(uri)
    report = make_report(read_sweep(store, name), uri)
    report.write(out)
    if log and report.records.parent_run_id:
        store.log_folder(report.records.parent_run_id, out, names.REPORT_FOLDER)
    return report


def report_pair(uri: str, first: str, second: str, out: Path) -> Report:
    """Compare two trials, the second against the first, and write the report into a folder.

    Raises:
        AnalysisError: a run that is not there or has no results.
    """
    report = make_report(read_pair(TrackingStore(uri), first, second), uri)
    report.write(out)
    return report


def _search_importances(records: Records, table: AblationTable) -> Mapping[str, float] | None:
    if records.design.method not in narrative.SEARCHES:
        return None
    rows = [row for row in table.rows if row.rate is not None]
    by_id: dict[str, Variant] = {variant.id: variant for variant in records.design.variants}
    params = pd.DataFrame([dict(by_id[row.variant].changes) for row in rows])
    complete = params.notna().all(axis=1)
    values = pd.Series([row.rate.value for row in rows if row.rate is not None])
    return importances(params[complete], values[complete])


def _render(template: str, context: Mapping[str, Any]) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("paraformer_analysis"),
        autoescape=jinja2.select_autoescape(["html.j2"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    safe = {key: Markup(context[key]) for key in ("css", "script")}
    return environment.get_template(template).render({**context, **safe})


def _template_text(name: str) -> str:
    return files("paraformer_analysis").joinpath("templates", name).read_text(encoding="utf-8")
