"""What stands on the page and in the Markdown file, filled into their templates."""

import re
from collections.abc import Mapping
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import jinja2
from markupsafe import Markup, escape

from paraformer_analysis import display, narrative, palette
from paraformer_analysis.display_own_metrics import own_metric_grid
from paraformer_analysis.display_search import search_grid
from paraformer_analysis.display_slices import slice_grid
from paraformer_analysis.reproduction import reproduction
from paraformer_analysis.worst import worst_utterances

if TYPE_CHECKING:
    from paraformer_analysis.report import Report

LOCAL_SERVER = "http://127.0.0.1:5000"
"""Where MLflow's own page of a store without a server is found, once it is started."""


def page(report: "Report") -> str:
    """Return the self-contained HTML page."""
    return _render("report.html.j2", _context(report, with_pictures=True))


def markdown(report: "Report") -> str:
    """Return the Markdown file; its figures lie beside it."""
    return _render("report.md.j2", _context(report, with_pictures=False))


def _context(report: "Report", with_pictures: bool) -> dict[str, Any]:
    records, table, shown = report.records, report.table, report.shown
    return {
        "title": report.title,
        "kind": narrative.kind(records),
        "question": records.design.hypothesis,
        "answer": report.answer,
        "sentences": report.sentences,
        "extent": narrative.extent(records, shown, table),
        "main": report.main_grid if report.comparable else None,
        "errors": display.error_grid(table) if report.comparable else None,
        "costs": display.cost_grid(table, with_front=report.comparable),
        "power": display.power_grid(table) if report.comparable else None,
        "effects": display.effect_grid(report.effects, records.design) if report.effects else None,
        "slices": slice_grid(report.slices, table),
        "own_metrics": own_metric_grid(report.own_metrics, table),
        "search": search_grid(report.history, report.tries_are_compared) if report.history else None,
        "search_story": narrative.search_story(records, report.history) if report.history else "",
        "changes": [(row.variant, row.changes) for row in table.rows if row.changes],
        "deviations": (*table.deviations, *report.slice_notes),
        "examples": worst_utterances(shown) if report.comparable else {},
        "method": narrative.method(shown, table, report.comparable),
        "reproduction": reproduction(records),
        "runs": _runs(report),
        "figures": {
            name: {
                "caption": picture.caption,
                "svg": palette.inline_svg(picture.svg_file, name, picture.caption) if with_pictures else "",
            }
            for name, picture in report.pictures.items()
        },
        "css": _template_text("report.css"),
        "script": _template_text("report.js"),
    }


def _runs(report: "Report") -> list[dict[str, str]]:
    server = report.uri if report.uri.startswith("http") else LOCAL_SERVER
    place = f"{server}/#/experiments/{report.records.experiment_id}/runs"
    columns = ["variant", "seed", "state", "run_id"]
    found = report.records.runs.reindex(columns=columns).fillna("").astype(str)
    return [
        {
            "label": f"{run['variant']}, seed {run['seed']}",
            "state": run["state"],
            "id": run["run_id"],
            "link": f"{place}/{run['run_id']}" if run["run_id"] else "",
        }
        for run in found.to_dict("records")
    ]


def _render(template: str, context: Mapping[str, Any]) -> str:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("paraformer_analysis"),
        autoescape=jinja2.select_autoescape(["html.j2"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters["breakable"] = _breakable
    safe = {key: Markup(context[key]) for key in ("css", "script")}
    return environment.get_template(template).render({**context, **safe})


def _breakable(text: str) -> Markup:
    """Let a long name of a variant break after its commas and equal signs."""
    return Markup(re.sub(r"([,=+])", r"\1<wbr>", str(escape(text))))


def _template_text(name: str) -> str:
    return files("paraformer_analysis").joinpath("templates", name).read_text(encoding="utf-8")
